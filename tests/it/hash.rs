//! `tidegate hash`: from standard input, from a terminal, and never from the arguments.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use crate::support::gateway::{BINARY, everything, private, temporary};

/// What it makes of this standard input.
fn hash(arguments: &[&str], input: &[u8]) -> Output {
    let home = temporary();
    let mut command = Command::new(BINARY);
    private(command.arg("hash").args(arguments), home.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What is refused for its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn made(arguments: &[&str], input: &[u8]) -> String {
    let output = hash(arguments, input);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
    assert!(output.stderr.is_empty(), "{}", everything(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_line_becomes_a_hash() {
    // `printf 0123456789abcdef | sha256sum`
    let hashed = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f\n";
    for input in ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"] {
        assert_eq!(made(&["--sha256"], input.as_bytes()), hashed);
    }
    let argon2id = made(&[], b"correct horse\n");
    assert!(argon2id.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{argon2id}");
    assert_eq!((argon2id.len(), argon2id.lines().count()), (98, 1));
    for (arguments, start) in [(&["--bcrypt"][..], "$2y$12$"), (&["--bcrypt", "10"], "$2y$10$")] {
        let bcrypt = made(arguments, b"correct horse\n");
        assert!(bcrypt.starts_with(start) && bcrypt.len() == 61, "{bcrypt}");
    }
}

#[test]
fn new_keys_come_with_their_line() {
    let text = made(&["--new-key"], b"");
    let [_, key, _, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(key.starts_with("tg_") && key.len() == 46, "{text}");
    assert_eq!(format!("{line}\n"), format!("CONSUMER {}", made(&["--sha256"], key.as_bytes())));
    assert!(!made(&["--new-key"], b"").contains(key));
}

#[test]
fn arguments_are_no_place_for_a_secret() {
    for arguments in [
        &["hunter2hunter2"][..],
        &["--sha256", "hunter2hunter2"],
        &["--bcrypt", "10", "hunter2hunter2"],
        &["--bcrypt", "hunter2hunter2"],
        &["--new-key", "hunter2hunter2"],
        &["--", "-hunter2hunter2"],
        &["--sha256", "--bcrypt"],
        &["--new-key", "--sha256"],
    ] {
        let output = hash(arguments, b"correct horse\n");
        let said = everything(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {said}");
        assert!(output.stdout.is_empty() && !said.contains("hunter2"), "{arguments:?} {said}");
        let explained = said.contains("does not belong in the arguments")
            || said.contains("a number from 10 to 15")
            || said.contains("cannot be used with");
        assert!(explained, "{arguments:?} {said}");
    }
}

#[test]
fn what_is_no_secret_is_refused() {
    for (arguments, input, why) in [
        (&[][..], &b""[..], "there is no secret"),
        (&[], b"\n", "there is no secret"),
        (&[], b"two\nlines\n", "one line"),
        (&[], b"h\xe4nsel\n", "not UTF-8"),
        (&["--sha256"], b"too short\n", "white space"),
        (&["--sha256"], b"too_short\n", "at least 16"),
        (&["--bcrypt"], &[b'x'; 73], "72 bytes"),
    ] {
        let output = hash(arguments, input);
        let said = everything(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty() && said.contains(why), "{said}");
    }
}

/// Types on a terminal; what comes back, and whether the terminal shows what is typed afterwards.
fn typed(answers: &[&str]) -> (i32, String, bool) {
    const SCRIPT: &str = "
import os, pty, subprocess, sys, termios
master, slave = pty.openpty()
child = subprocess.Popen([sys.argv[1], 'hash', '--sha256'], stdin=slave, stdout=slave, stderr=slave)
seen = b''
for question, answer in zip((b'Secret: ', b'Again: '), sys.argv[2:]):
    while question not in seen:
        seen += os.read(master, 4096)
    os.write(master, answer.encode())
code = child.wait(30)
echo = bool(termios.tcgetattr(slave)[3] & termios.ECHO)
os.set_blocking(master, False)
try:
    seen += os.read(master, 65536)
except BlockingIOError:
    pass
print(code, echo)
print(seen.decode())
";
    let home = temporary();
    let mut command = Command::new("python3");
    private(command.args(["-c", SCRIPT, BINARY]).args(answers), home.path());
    let output = command.output().unwrap();
    let text = everything(&output);
    let (first, rest) = text.split_once('\n').unwrap();
    let (code, echo) = first.split_once(' ').unwrap_or_else(|| panic!("{text}"));
    (code.parse().unwrap_or_else(|_| panic!("{text}")), rest.to_owned(), echo == "True")
}

#[test]
fn a_terminal_does_not_show_it_and_is_left_as_it_was() {
    let (code, seen, echo) = typed(&["0123456789abcdeX\u{7f}f\n", "0123456789abcdef\n"]);
    assert_eq!((code, echo), (0, true), "{seen}");
    assert!(seen.contains("9f9f5111f7b27a78") && !seen.contains("0123456789"), "{seen}");
    let (code, seen, echo) = typed(&["0123456789abcdef\n", "0123456789abcdee\n"]);
    assert_eq!((code, echo), (1, true), "{seen}");
    assert!(seen.contains("two different secrets") && !seen.contains("0123456789"), "{seen}");
    let (code, seen, echo) = typed(&["0123456789abcdef\u{3}"]);
    assert_eq!((code, echo), (1, true), "{seen}");
    assert!(seen.contains("cancelled") && !seen.contains("0123456789"), "{seen}");
}
