//! Who is let through, what is counted, and what a client is told.

use serde_json::json;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    authorize::{Rule, Rules},
    body::Body,
    telemetry::testing,
};

fn policy(allow: &[&str], deny: &[&str], mode: Mode) -> Arc<Policy> {
    let of = |list: &[&str]| list.iter().map(|it| Rule::compile(it).expect(it)).collect();
    let rules = Rules { allow: of(allow), deny: of(deny) };
    Arc::new(Policy { policy: "admins".into(), rules, message: Some("ask ops".to_owned()), mode })
}

/// What becomes of a request of `ann`, who is in one group.
async fn ask(policies: &[Arc<Policy>]) -> Result<(), Error> {
    let decisions = || Arc::<Decisions>::default();
    let policies = policies.iter().map(|policy| (Arc::clone(policy), decisions())).collect();
    let inner = service_fn(async |_: Request| Ok::<_, Error>(Response::new(Body::empty())));
    let exchange = Arc::new(Exchange::new(testing::head()));
    let serde_json::Value::Object(claims) = json!({ "groups": ["dev"] }) else { unreachable!() };
    exchange.note(|outcome| {
        outcome.consumer = Some("ann".into());
        outcome.claims = Some(Arc::new(claims));
    });
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(exchange);
    AuthorizeLayer::new(policies).layer(inner).oneshot(request).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn any_allow_is_enough_any_deny_is_too_much_and_what_fails_allows_nothing() {
    const NO: &str = "consumer == 'bob'";
    const YES: &str = "'dev' in claims.groups";
    const FAILS: &str = "claims.role == 'admin'";
    for (allow, deny, why) in [
        (&[YES][..], &[][..], None),
        (&[NO, YES], &[NO], None),
        (&[FAILS, YES], &[], None),
        (&[], &[NO], None),
        (&[NO], &[], Some("rule_false")),
        (&[NO, NO], &[NO], Some("rule_false")),
        (&[YES], &[YES], Some("rule_denied")),
        (&[NO], &[NO, YES], Some("rule_denied")),
        (&[YES], &[FAILS, YES], Some("rule_denied")),
        (&[FAILS], &[], Some("rule_failed")),
        (&[FAILS, NO], &[], Some("rule_failed")),
        (&[YES], &[FAILS], Some("rule_failed")),
        (&[], &[FAILS, NO], Some("rule_failed")),
    ] {
        let said = ask(&[policy(allow, deny, Mode::Enforce)]).await;
        let word = said.as_ref().err().and_then(|error| error.detail().split([' ', ':']).next());
        assert_eq!(word, why, "{allow:?} {deny:?}");
        if let Err(error) = said {
            assert_eq!(
                (error.reason(), error.public_detail()),
                (Reason::Forbidden, Some("ask ops"))
            );
        }
        // It would only have been counted.
        assert!(ask(&[policy(allow, deny, Mode::Shadow)]).await.is_ok(), "{allow:?} {deny:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_policies_must_agree_and_one_that_watches_takes_nothing_from_the_others() {
    let (yes, no) = (&["consumer == 'ann'"][..], &["consumer == 'bob'"][..]);
    let enforced = |allow| policy(allow, &[], Mode::Enforce);
    assert!(ask(&[enforced(yes), enforced(yes)]).await.is_ok());
    assert!(ask(&[enforced(yes), enforced(no)]).await.is_err());
    let list = format!("[{}]", "1,".repeat(400).trim_end_matches(','));
    let dear = format!("{list}.all(a, {list}.all(b, a == b))");
    let watching = policy(&[&dear], &[], Mode::Shadow);
    assert!(ask(&[watching, enforced(yes)]).await.is_ok());
    let error = ask(&[policy(&[&dear], &[], Mode::Enforce)]).await.unwrap_err();
    assert_eq!(error.detail(), "rule_failed: more steps than a rule may take for `admins`");
}
