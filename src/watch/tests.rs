//! What is watched on the way to a file, what wakes, and what is compared.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn every_link_of_the_chain_has_its_directory_watched() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("v1")).unwrap();
    fs::write(root.join("v1/f"), "").unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    symlink("v1", root.join("data")).unwrap();
    symlink("../data/f", root.join("etc/f")).unwrap();
    let chain = |path: &str| {
        let mut chain = Chain::default();
        chain.add(&root.join(path));
        chain
    };
    let found = chain("etc/f");
    assert_eq!(found.dirs, BTreeSet::from([root.join("etc"), root.clone(), root.join("v1")]));
    assert_eq!(found.files, BTreeSet::from([root.join("v1/f")]));
    assert_eq!(chain("etc/not/there/yet").dirs, BTreeSet::from([root.join("etc")]));
    symlink("loop", root.join("loop")).unwrap();
    assert_eq!(chain("loop").dirs, BTreeSet::from([root.clone()]));
}

#[test]
fn reading_and_the_writes_of_others_wake_nobody() {
    use notify::{
        Event,
        event::{CreateKind, DataChange},
    };
    let chain = Chain { dirs: BTreeSet::new(), files: BTreeSet::from(["/etc/ours".into()]) };
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let table = [
        (written, "/etc/ours", true),
        (written, "/etc/access.log", false),
        (data, "/etc/ours", true),
        (data, "/etc/access.log", false),
        (EventKind::Access(AccessKind::Open(AccessMode::Any)), "/etc/ours", false),
        (EventKind::Access(AccessKind::Close(AccessMode::Read)), "/etc/ours", false),
        (EventKind::Create(CreateKind::File), "/etc/new.yaml", true),
        (EventKind::Any, "/etc", true),
    ];
    for (kind, path, expected) in table {
        let event = Event::new(kind).add_path(path.into());
        assert_eq!(chain.is_touched_by(&event), expected, "{event:?}");
    }
}

#[test]
fn a_huge_file_is_not_read_whole_and_still_compared() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_COMPARED + 10).unwrap();
    let before = content(file.path());
    assert!(before.len() < usize::try_from(MAX_COMPARED).unwrap() + 100);
    file.as_file().set_len(MAX_COMPARED + 11).unwrap();
    assert_ne!(content(file.path()), before);
}

#[test]
fn a_directory_and_a_missing_file_are_different() {
    let dir = tempfile::tempdir().unwrap();
    let (here, gone) = (content(dir.path()), content(&dir.path().join("gone")));
    assert!(here.starts_with(b"\0") && gone.starts_with(b"\0"));
    assert_ne!(here, gone);
}

#[test]
fn parts_do_not_run_into_each_other() {
    assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    assert_eq!(digest(&[b"ab", b"c"]), digest(&[b"ab", b"c"]));
}
