// A real OpenID provider (npm's `oidc-provider`) for one test, on a free port of localhost. Everybody may
// log in with any password. `POST /test` changes how it behaves, `GET /test` tells what it was asked.
//
// Arguments: the directory in which the package is installed, the port (0: a free one).
import { createServer } from 'node:http';
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto; // Node.js 18
const [directory, port] = process.argv.slice(2);
const { Provider } = await import(`${directory}/node_modules/oidc-provider/lib/index.js`);

const usual = { ttl: 3600, refresh: true, delay: 0, groups: ['staff'], padding: '' };
let behaviour = { ...usual };
const asked = { discovery: 0, jwks: 0, login: 0, token: 0, code: 0, refresh: 0, refused: 0, methods: [], issued: [] };

const pair = await crypto.subtle.generateKey(
  { name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'],
);
const key = await crypto.subtle.exportKey('jwk', pair.privateKey);
delete key.key_ops; // the public half is for verifying
const kid = crypto.randomUUID();

const server = createServer();
await new Promise((listening) => server.listen(Number(port), '127.0.0.1', listening));
const issuer = `http://localhost:${server.address().port}`;

const client = (client_id, token_endpoint_auth_method) => ({
  client_id,
  client_secret: token_endpoint_auth_method === 'none' ? undefined : 'the secret: of a+client/=',
  token_endpoint_auth_method,
  id_token_signed_response_alg: 'ES256',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: ['https://app.example.com/oauth2/callback'],
});

const provider = new Provider(issuer, {
  clients: [
    client('app', 'client_secret_basic'),
    client('other', 'client_secret_basic'),
    client('public', 'none'),
  ],
  jwks: { keys: [{ ...key, kid, use: 'sig', alg: 'ES256' }] },
  claims: { openid: ['sub'], email: ['email'], profile: ['name', 'groups', 'padding'] },
  conformIdTokenClaims: false,
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({
      sub, email: `${sub}@example.com`, name: `The ${sub}`,
      groups: behaviour.groups, padding: behaviour.padding,
    }),
  }),
  // Whoever has logged in agrees.
  async loadExistingGrant(ctx) {
    const { oidc } = ctx;
    const known = oidc.session.grantIdFor(oidc.client.clientId);
    if (known) return ctx.oidc.provider.Grant.find(known);
    const grant = new ctx.oidc.provider.Grant({
      clientId: oidc.client.clientId, accountId: oidc.session.accountId,
    });
    grant.addOIDCScope('openid email profile offline_access');
    await grant.save();
    return grant;
  },
  issueRefreshToken: () => behaviour.refresh,
  rotateRefreshToken: () => true,
  pkce: { required: () => true },
  ttl: {
    AccessToken: () => behaviour.ttl, IdToken: () => behaviour.ttl,
    Grant: 3600, Interaction: 600, RefreshToken: 3600, Session: 3600,
  },
});

// The gateway's port is known when both run.
const isGateway = (url) => /^https?:\/\/(127\.0\.0\.1|localhost)(:\d+)?\//.test(url);
provider.Client.prototype.redirectUriAllowed = isGateway;
provider.Client.prototype.postLogoutRedirectUriAllowed = isGateway;

const pause = (time) => new Promise((over) => setTimeout(over, time));

provider.use(async (ctx, next) => {
  if (ctx.path === '/test') {
    if (ctx.method === 'POST') {
      let body = '';
      for await (const piece of ctx.req) body += piece;
      behaviour = { ...usual, ...JSON.parse(body) };
    }
    ctx.body = asked;
    return;
  }
  const what = { '/.well-known/openid-configuration': 'discovery', '/jwks': 'jwks', '/auth': 'login' };
  if (what[ctx.path]) asked[what[ctx.path]] += 1;
  if (ctx.path === '/auth') {
    // Somebody on the way who changes the login.
    const { nonce, code_challenge, error } = behaviour;
    const changed = { ...ctx.query };
    if (nonce) changed.nonce = nonce;
    if (code_challenge) changed.code_challenge = code_challenge;
    ctx.query = changed;
    if (error) {
      const { redirect_uri, state } = ctx.query;
      ctx.redirect(`${redirect_uri}?${new URLSearchParams({ error, state, iss: issuer })}`);
      return;
    }
  }
  if (ctx.path === '/token') {
    asked.token += 1;
    asked.methods.push(ctx.get('authorization') ? 'basic' : 'none');
    if (behaviour.delay) await pause(behaviour.delay);
    if (behaviour.token) {
      [ctx.status, ctx.body] = behaviour.token;
      asked.refused += 1;
      return;
    }
  }
  await next();
  if (ctx.path === '/token') {
    const grant = ctx.oidc?.params?.grant_type === 'refresh_token' ? 'refresh' : 'code';
    asked[ctx.status === 200 ? grant : 'refused'] += 1;
    const { access_token, refresh_token, id_token } = ctx.body ?? {};
    asked.issued.push(...[access_token, refresh_token, id_token].filter(Boolean));
  }
  const to = ctx.response.get('location');
  if (behaviour.iss && to?.includes('iss=')) {
    ctx.set('location', to.replace(/iss=[^&]*/, `iss=${encodeURIComponent(behaviour.iss)}`));
  }
});

server.on('request', provider.callback());
console.log(`listening ${issuer}`);
