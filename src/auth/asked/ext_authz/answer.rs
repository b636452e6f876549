//! What the service says. Of the headers it wants to set, those count that the operator has named; it may
//! take out any but those that frame a message or that the gateway itself writes.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

use super::{
    super::{Answer, Holds, Opined, Opinion, Silent, Verdict, Words, fields, grpc},
    messages::{CheckResponse, DeniedResponse, HeaderOption, HttpResponse, OkResponse},
};
use crate::{auth::Identity, config::model::Takes, server::gate};

/// Most fields of one message.
const MOST_FIELDS: usize = 100;

/// Fields that say where a message ends, or belong to one hop.
const FRAMING: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The same, where `http` has no name for them.
const MORE_FRAMING: [&str; 3] = ["keep-alive", "proxy-connection", "http2-settings"];

/// What an answer says.
pub(super) fn opinion(answer: Answer, takes: &Takes) -> Opined {
    let response: CheckResponse =
        grpc::message(answer).map_err(|why| Silent::new("service_bad_answer", why))?;
    let bad = |why: &str| Silent::new("service_bad_answer", why);
    let code = response.status.map_or(0, |status| status.code);
    let metadata = response.dynamic_metadata;
    match (code, response.http) {
        (0, Some(HttpResponse::Denied(_))) => Err(bad("it says both yes and no")),
        (0, ok) => {
            let ok = match ok {
                Some(HttpResponse::Ok(ok)) => ok,
                _ => OkResponse::default(),
            };
            let mut identity = identity(&ok, takes).ok_or_else(|| bad("fields that are none"))?;
            identity.claims = metadata.map(|metadata| Arc::new(metadata.into_claims()));
            let hands_out = identity.answer.iter().any(|(name, _)| *name == SET_COOKIE);
            Ok(Opinion { verdict: Verdict::Pass(Arc::new(identity)), holds: holds(hands_out) })
        }
        (_, Some(HttpResponse::Ok(_))) => Err(bad("it says both no and yes")),
        (_, denied) => {
            let denied = match denied {
                Some(HttpResponse::Denied(denied)) => denied,
                _ => DeniedResponse::default(),
            };
            let words = words(denied).ok_or_else(|| bad("a refusal that cannot be sent"))?;
            let hands_out = words.headers.contains_key(SET_COOKIE);
            Ok(Opinion { verdict: Verdict::Answer(Arc::new(words)), holds: holds(hands_out) })
        }
    }
}

/// A cookie is for the client that is given it.
const fn holds(hands_out: bool) -> Holds {
    if hands_out { Holds::Once } else { Holds::ForAll }
}

fn identity(ok: &OkResponse, takes: &Takes) -> Option<Identity> {
    let (for_upstream, for_client) = (map(&ok.headers)?, map(&ok.response_headers_to_add)?);
    let mut identity = fields::identity(takes, &for_upstream, &for_client)?;
    if ok.headers_to_remove.len() > MOST_FIELDS {
        return None;
    }
    let names = ok.headers_to_remove.iter().filter_map(|name| name.parse().ok());
    identity.removes = names.filter(may_be_removed).collect();
    Some(identity)
}

fn may_be_removed(name: &HeaderName) -> bool {
    !is_framing(name) && !gate::is_written(name.as_str())
}

fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(name) || MORE_FRAMING.contains(&name.as_str())
}

/// Fields as a map; those that frame a message are not among them. `None`: too many, or one that is
/// none.
fn map(options: &[HeaderOption]) -> Option<HeaderMap> {
    if options.len() > MOST_FIELDS {
        return None;
    }
    let mut map = HeaderMap::new();
    for header in options.iter().filter_map(|option| option.header.as_ref()) {
        // Envoy's own, for the head of a request.
        if header.key.starts_with(':') {
            continue;
        }
        let name: HeaderName = header.key.parse().ok()?;
        let value =
            if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        if !is_framing(&name) {
            map.append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    Some(map)
}

/// The answer to the client: 403, unless the service says otherwise.
fn words(denied: DeniedResponse) -> Option<Words> {
    let status = match denied.status.map_or(0, |status| status.code) {
        0 => StatusCode::FORBIDDEN,
        code => StatusCode::from_u16(u16::try_from(code).ok()?).ok()?,
    };
    if !matches!(status.as_u16(), 300..=599) {
        return None;
    }
    Some(Words { status, headers: map(&denied.headers)?, body: Bytes::from(denied.body) })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::{
        super::messages::{Header, HttpStatus, RpcStatus},
        *,
    };

    fn option(key: &str, value: &str) -> HeaderOption {
        let header = Header { key: key.into(), value: value.into(), raw_value: Vec::new() };
        HeaderOption { header: Some(header) }
    }

    fn framed(message: &CheckResponse) -> Vec<u8> {
        let bytes = message.encode_to_vec();
        let mut frame = vec![0];
        frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
        frame.extend(bytes);
        frame
    }

    fn answer(status: u16, body: Vec<u8>, grpc: Option<&'static str>) -> Answer {
        let head = http::Response::builder().status(status).body(()).unwrap().into_parts().0;
        let mut trailers = HeaderMap::new();
        if let Some(grpc) = grpc {
            trailers.insert("grpc-status", HeaderValue::from_static(grpc));
        }
        Answer { head, rest: Some((body.into(), trailers)) }
    }

    fn takes() -> Takes {
        let name = HeaderName::from_static;
        Takes {
            response_headers: vec![name("x-user"), name("x-role")],
            answer_headers: vec![SET_COOKIE],
            consumer: Some(name("x-user")),
        }
    }

    fn of(message: &CheckResponse) -> Opined {
        opinion(answer(200, framed(message), Some("0")), &takes())
    }

    #[test]
    fn only_what_the_operator_takes_is_taken() {
        let ok = OkResponse {
            headers: vec![
                option("X-User", "ann"),
                option("x-role", "a"),
                option("x-role", "b"),
                option("x-forwarded-for", "1.2.3.4"),
                option("content-length", "9"),
                option(":path", "/admin"),
            ],
            headers_to_remove: [
                "Authorization",
                "host",
                "X-Forwarded-For",
                ":path",
                "connection",
                "\n",
            ]
            .map(str::to_owned)
            .to_vec(),
            response_headers_to_add: vec![option("x-other", "1")],
        };
        let http = Some(HttpResponse::Ok(ok));
        let said = of(&CheckResponse { http, ..CheckResponse::default() }).ok().unwrap();
        let Verdict::Pass(identity) = said.verdict else { panic!("it says yes") };
        assert_eq!(identity.consumer.as_deref(), Some("ann"));
        let told: Vec<_> =
            identity.tells.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(told, [("x-user", "ann"), ("x-role", "a"), ("x-role", "b")]);
        assert_eq!(identity.removes, ["authorization"]);
        assert!(identity.answer.is_empty());
        assert_eq!(said.holds, Holds::ForAll);
    }

    #[test]
    fn who_may_not_is_answered_as_the_service_says() {
        let denied = DeniedResponse {
            status: Some(HttpStatus { code: 302 }),
            headers: vec![option("location", "/login"), option("transfer-encoding", "chunked")],
            body: "go".into(),
        };
        let status = Some(RpcStatus { code: 16 });
        let http = Some(HttpResponse::Denied(denied));
        let said = of(&CheckResponse { status, http, ..CheckResponse::default() }).ok().unwrap();
        let Verdict::Answer(words) = said.verdict else { panic!("it says no") };
        assert_eq!((words.status.as_u16(), &*words.body), (302, &b"go"[..]));
        assert_eq!(words.headers.len(), 1);
        let said = of(&CheckResponse { status, ..CheckResponse::default() }).ok().unwrap();
        let Verdict::Answer(words) = said.verdict else { panic!("it says no") };
        assert_eq!(words.status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let yes = CheckResponse::default();
        let status = Some(RpcStatus { code: 7 });
        let with_status = |code| {
            let denied = DeniedResponse { status: Some(HttpStatus { code }), ..Default::default() };
            let http = Some(HttpResponse::Denied(denied));
            framed(&CheckResponse { status, http, ..CheckResponse::default() })
        };
        let user = |value: &str| {
            let headers = vec![option("x-user", value)];
            let ok = HttpResponse::Ok(OkResponse { headers, ..OkResponse::default() });
            framed(&CheckResponse { http: Some(ok), ..CheckResponse::default() })
        };
        let both = |yes: bool| {
            let http = if yes {
                HttpResponse::Denied(DeniedResponse::default())
            } else {
                HttpResponse::Ok(OkResponse::default())
            };
            let status = if yes { None } else { status };
            framed(&CheckResponse { status, http: Some(http), ..CheckResponse::default() })
        };
        let mut compressed = framed(&yes);
        compressed[0] = 1;
        for (what, said) in [
            ("garbage", answer(200, b"garbage".to_vec(), Some("0"))),
            ("nothing", answer(200, Vec::new(), Some("0"))),
            ("cut", answer(200, vec![0, 0, 0, 0, 9, 1], Some("0"))),
            ("two", answer(200, [framed(&yes), framed(&yes)].concat(), Some("0"))),
            ("compressed", answer(200, compressed, Some("0"))),
            ("an error", answer(200, framed(&yes), Some("13"))),
            ("no status", answer(200, framed(&yes), None)),
            ("404", answer(404, framed(&yes), Some("0"))),
            ("a status that is none", answer(200, with_status(99), Some("0"))),
            ("a status that says yes", answer(200, with_status(200), Some("0"))),
            ("a status that is too large", answer(200, with_status(70_000), Some("0"))),
            ("no name", answer(200, user(" "), Some("0"))),
            ("a line break", answer(200, user("a\nb"), Some("0"))),
            ("yes and no", answer(200, both(true), Some("0"))),
            ("no and yes", answer(200, both(false), Some("0"))),
            ("wrong wire type", answer(200, vec![0, 0, 0, 0, 2, 0x0a, 0x7f], Some("0"))),
        ] {
            assert!(opinion(said, &takes()).is_err(), "{what}");
        }
        let Answer { head, .. } = answer(200, Vec::new(), None);
        assert!(opinion(Answer { head, rest: None }, &takes()).is_err(), "nothing within its time");
    }
}
