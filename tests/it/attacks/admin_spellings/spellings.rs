//! Spellings of `/admin` and what is below it: some mean it, some mean nothing, some another path.

use std::collections::BTreeSet;

/// What stands before the word.
const BEFORE: [&str; 56] = [
    "/",
    "//",
    "///",
    "/./",
    "/.//",
    "/x/../",
    "/x/..//",
    "/x/y/../../",
    "/../",
    "/../../",
    "/%2e/",
    "/%2E/",
    "/x/%2e%2e/",
    "/x/.%2e/",
    "/x/%2E./",
    "/x/%2e%2E/",
    "/%2e%2e/",
    "/%252e/",
    "/x/%252e%252e/",
    "/x/%25252e%25252e/",
    "/x/..%2f",
    "/x/..%2F",
    "/x/..%252f",
    "/x%2f..%2f",
    "/%2f",
    "/%2F/",
    "/%252f",
    "/%25252f",
    "%2f",
    "/\\",
    "\\",
    "/x\\..\\",
    "/x/..\\",
    "/%5c",
    "/%5C",
    "/x%5c..%5c",
    "/%255c",
    "/;/",
    "/;x/",
    "/;x=1/",
    "/%3b/",
    "/%3Bx/",
    "/%253b/",
    "/x/..;/",
    "/x/..;y=1/",
    "/x/..%3b/",
    "/x/..%253b/",
    "/.;/",
    "/%c0%af",
    "/x/%c0%ae%c0%ae/",
    "/%e0%80%af",
    "/%00/",
    "/%09/",
    "/\t/",
    "http://a/",
    "http://a//x/../",
];

/// What stands behind it.
const BEHIND: [&str; 60] = [
    "",
    "/",
    "/x",
    "//",
    "//x",
    "/.",
    "/./",
    "/./x",
    "/x/..",
    "/x/../",
    "/x/../y",
    "/..",
    "/../x",
    "?",
    "?x",
    "?x=/../",
    "#x",
    ";",
    ";x",
    ";x=1",
    ";x/y",
    ";/",
    ";x=1/y",
    ";.css",
    ";%2f..",
    "%3b",
    "%3B",
    "%3bx/y",
    "%3Bx=1",
    "%253b",
    "%253Bx",
    "%25253b",
    "%00",
    "%00.png",
    "%2500",
    "%20",
    "%2520",
    "%09",
    "%0a",
    "%0d%0a",
    ".",
    "..",
    "...",
    ".html",
    "%2e",
    "%252e",
    "%2f",
    "%2fx",
    "%252fx",
    "\\",
    "\\x",
    "%5c",
    "%5cx",
    "%255c",
    "~",
    "%",
    "%2",
    "%zz",
    "/..;/admin",
    "/%2e%2e/admin",
];

/// Words that are not it, however alike.
const OTHERS: [&str; 8] =
    ["ADMIN", "Admin", "administrator", "admins", "admi", "xadmin", "admin-x", "adm%20in"];

/// The word itself, with one letter or all written in other ways.
fn words() -> Vec<String> {
    type Form = fn(u8) -> String;
    const FORMS: [Form; 9] = [
        |byte| format!("%{byte:02x}"),
        |byte| format!("%{byte:02X}"),
        |byte| format!("%25{byte:02x}"),
        |byte| format!("%25{byte:02X}"),
        |byte| format!("%2525{byte:02x}"),
        |byte| format!("%u00{byte:02x}"),
        |byte| format!("%25u00{byte:02x}"),
        |byte| format!("%25%3{}%3{}", byte >> 4, byte & 7),
        |byte| format!("%c1%{:02x}", byte & 0x3F | 0x80),
    ];
    // First those that mean something else, and must pass.
    let mut words: Vec<_> = OTHERS.map(str::to_owned).into();
    words.push("admin".to_owned());
    for form in FORMS {
        for which in 0..=5 {
            let letters = "admin".bytes().enumerate();
            let spell = |(at, byte): (usize, u8)| match at == which || which == 5 {
                true => form(byte),
                false => char::from(byte).to_string(),
            };
            words.push(letters.map(spell).collect());
        }
    }
    words
}

/// All pairs of ways, and some thousand of all three together.
pub(super) fn all() -> Vec<String> {
    let words = words();
    let mut all = BTreeSet::new();
    for before in BEFORE {
        all.extend(words.iter().map(|word| format!("{before}{word}")));
        all.extend(BEHIND.iter().map(|behind| format!("{before}admin{behind}")));
    }
    for word in &words {
        all.extend(BEHIND.iter().map(|behind| format!("/{word}{behind}")));
    }
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut roll = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..2_000 {
        let (before, behind) = (BEFORE[roll(BEFORE.len())], BEHIND[roll(BEHIND.len())]);
        all.insert(format!("{before}{}{behind}", words[roll(words.len())]));
    }
    all.into_iter().collect()
}
