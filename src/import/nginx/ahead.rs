//! What must not follow (`(?!…)`), in expressions that cannot look ahead.

use std::borrow::Cow;

use super::expressions::{alternatives, group_end};

/// `/\.(?!well-known)`, which everybody writes, without looking ahead: what follows is read as far as it is
/// plain text, and is something else. The same at the end of an expression only.
pub(super) fn looking_at(text: &str) -> Cow<'_, str> {
    let without = || {
        let (front, rest) = text.split_once("(?!")?;
        let (words, end) = rest.split_once(')')?;
        let words = words.replace("\\/", "/").replace("\\.", ".").replace("\\-", "-");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        // A dot that is not escaped is any character.
        let dots = rest[..rest.len() - end.len()].matches('.').count();
        let good = ["", ".*", ".*$"].contains(&end)
            && (1..=MOST_AHEAD).contains(&words.len())
            && words.chars().all(plain)
            && dots == rest[..rest.len() - end.len()].matches("\\.").count()
            && group_end(&format!("({front})")).is_some_and(|at| at == front.len() + 1)
            && alternatives(front).len() == 1;
        good.then(|| format!("{front}{}", anything_but(&words)))
    };
    without().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Longer text is looked for by nobody, and every character is a group.
const MOST_AHEAD: usize = 64;

/// What does not begin with this text.
fn anything_but(text: &str) -> String {
    text.chars().rev().fold(String::new(), |after, c| {
        let escaped = regex::escape(&c.to_string());
        let rest = if after.is_empty() { after } else { format!("|{escaped}{after}") };
        format!("(?:$|[^{escaped}]{rest})")
    })
}

#[cfg(test)]
mod tests {
    use super::super::{
        expressions::{example, whole},
        matching::compile,
    };

    #[test]
    fn what_must_not_follow_is_said_without_looking_ahead() {
        for (text, words) in [
            ("/\\.(?!well-known)", "well-known"),
            ("/\\.(?!well-known\\/)", "well-known/"),
            ("/\\.(?!well-known).*", "well-known"),
            ("/\\.(?!w)", "w"),
            ("/\\.(?!a\\.b).*$", "a.b"),
        ] {
            let ours = crate::routing::PathPattern::regex(&whole(text, false).unwrap()).unwrap();
            for path in [
                "/",
                "/.",
                "/.git",
                "/.git/x",
                "/.w",
                "/.well",
                "/.well-known",
                "/.well-known/",
                "/.well-known/x",
                "/.well-knownx",
                "/x/.well-known",
                "/.well-known/.git",
                "/.wellness",
                "/.a.b",
                "/.a.c",
                "/.axb",
                "/x.y",
                "/.well-known/.well-known",
                "/..",
                "/.WELL-KNOWN",
            ] {
                let theirs =
                    path.match_indices("/.").any(|(at, _)| !path[at + 2..].starts_with(words));
                assert_eq!(ours.matches(path), theirs, "{text} {path}");
                assert_eq!(compile(text, false).unwrap().is_match(path), theirs, "{text} {path}");
            }
            let example = example(text, false).unwrap();
            assert!(ours.matches(&example), "{text} {example}");
        }
        for text in
            ["/\\.(?!a.b)", "/\\.(?!a)b", "(/\\.(?!a))", "/a|/\\.(?!b)", "/\\.(?!a|b)", "(?!x)y"]
        {
            assert_eq!(whole(text, false), None, "{text}");
        }
    }
}
