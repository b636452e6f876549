//! What an issuer says of a token (RFC 7662 section 2.2), with the time as an argument.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::Value;

use super::super::{Answer, Holds, Opined, Opinion, Silent, Verdict};
use crate::auth::{
    Claims, Denied, Identity,
    jwt::{Audience, Flaw, bearer::Reading, json, rules},
};

/// What a policy wants of a token.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<Audience>,
    pub(crate) reading: Reading,
}

// === impl Reads ===

impl Reads {
    /// What the answer says at `now`, in seconds since 1970.
    pub(super) fn opinion(&self, answer: Answer, now: f64) -> Opined {
        if answer.head.status != StatusCode::OK {
            return Err(Silent::new(
                "service_bad_answer",
                format!("it answered {}", answer.head.status),
            ));
        }
        let claims = answer.rest.and_then(|(body, _)| json::object(&body));
        let Some(claims) = claims else {
            return Err(Silent::new("service_bad_answer", "it is no JSON, or too much of it"));
        };
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(denied(Denied::wrong("inactive"))),
            _ => {
                return Err(Silent::new(
                    "service_bad_answer",
                    "it does not say whether it is active",
                ));
            }
        }
        Ok(match self.judge(claims, now) {
            Ok((identity, left)) => {
                let holds = left.map_or(Holds::ForAll, Holds::AtMost);
                Opinion { verdict: Verdict::Pass(Arc::new(identity)), holds }
            }
            Err(flaw) => denied(flaw.into()),
        })
    }

    fn judge(&self, claims: Claims, now: f64) -> Result<(Identity, Option<Duration>), Flaw> {
        let audience = self.audience.as_ref();
        let left = rules::judge_active(self.issuer.as_deref(), audience, &claims, now)?;
        Ok((self.reading.identity(claims)?, left))
    }
}

const fn denied(why: Denied) -> Opinion {
    Opinion { verdict: Verdict::Denied(why), holds: Holds::ForAll }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::auth::jwt::Demand;

    const NOW: f64 = 1_700_000_000.5;

    fn reads() -> Reads {
        let demand = Demand { claim: "scope".into(), any_of: vec!["read".into()] };
        Reads {
            issuer: Some("https://issuer".into()),
            audience: Some(Audience::OneOf(vec!["orders".into()])),
            reading: Reading {
                require: vec![demand],
                consumer: Some("sub".into()),
                pass_claims: vec![("x-sub".parse().unwrap(), "sub".into())],
            },
        }
    }

    fn answer(status: u16, body: impl Into<bytes::Bytes>) -> Answer {
        let head = http::Response::builder().status(status).body(()).unwrap().into_parts().0;
        Answer { head, rest: Some((body.into(), HeaderMap::new())) }
    }

    fn good() -> Value {
        json!({ "active": true, "iss": "https://issuer", "aud": ["x", "orders"], "sub": "ann", "scope": "a read" })
    }

    fn said(claims: &Value) -> Opinion {
        reads().opinion(answer(200, claims.to_string()), NOW).expect("it says something")
    }

    #[test]
    fn what_is_active_and_ours_passes_no_longer_than_it_says() {
        let Opinion { verdict: Verdict::Pass(identity), holds } = said(&good()) else {
            panic!("it passes")
        };
        assert_eq!((identity.consumer.as_deref(), holds), (Some("ann"), Holds::ForAll));
        assert_eq!(identity.claims.as_ref().unwrap()["scope"], "a read");
        assert_eq!(identity.tells[0].1, "ann");
        let mut short = good();
        short["exp"] = json!(1_700_000_007_u64);
        assert_eq!(said(&short).holds, Holds::AtMost(Duration::from_millis(6500)));
    }

    #[test]
    fn whatever_else_it_is_does_not_pass() {
        for (name, value, word) in [
            ("active", json!(false), "inactive"),
            ("iss", json!("https://issuer/"), "wrong_issuer"),
            ("iss", Value::Null, "wrong_issuer"),
            ("aud", json!("billing"), "wrong_audience"),
            ("aud", json!({ "orders": 1 }), "wrong_audience"),
            ("aud", json!(["orders", 1]), "wrong_audience"),
            ("exp", json!(NOW), "expired"),
            ("exp", json!("9999999999"), "malformed_claim"),
            ("nbf", json!(NOW + 0.25), "not_yet_valid"),
            ("scope", json!("reader"), "claim_not_allowed"),
            ("sub", json!("a\nb"), "malformed_claim"),
            ("sub", json!(["ann"]), "malformed_claim"),
        ] {
            let mut claims = good();
            claims[name] = value;
            let Verdict::Denied(why) = said(&claims).verdict else { panic!("{claims}") };
            assert_eq!(why.word, word, "{claims}");
        }
        for name in ["iss", "aud", "sub"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            let Verdict::Denied(why) = said(&claims).verdict else { panic!("{claims}") };
            assert_eq!(why.word, "missing_claim", "{claims}");
        }
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        let good = good().to_string();
        for (what, answer) in [
            ("401", answer(401, good.clone())),
            ("204", answer(204, good.clone())),
            ("text", answer(200, "active")),
            ("nothing", answer(200, "")),
            ("a list", answer(200, format!("[{good}]"))),
            ("twice", answer(200, format!("{}, \"active\": false}}", good.trim_end_matches('}')))),
            ("a word", answer(200, good.replace("\"active\":true", "\"active\":\"true\""))),
            ("a number", answer(200, good.replace("\"active\":true", "\"active\":1"))),
            ("not said", answer(200, "{}")),
            ("more", answer(200, format!("{good} {good}"))),
            ("cut", answer(200, good[..good.len() - 1].to_owned())),
        ] {
            assert!(reads().opinion(answer, NOW).is_err(), "{what}");
        }
        let none = Answer { rest: None, ..answer(200, "") };
        assert!(reads().opinion(none, NOW).is_err(), "no whole answer in time");
    }
}
