//! The table against the model.

use super::{
    Request, Spec, branches, compare, disjoint, random::Dice, takes_all_but_method, takes_method,
    winner, with_facts,
};
use crate::routing::{Found, RequestFacts, Table};

fn expected_allow(specs: &[Spec], request: &Request) -> String {
    let near: Vec<_> = specs.iter().filter(|s| takes_all_but_method(s, request)).collect();
    let allowed = ["GET", "HEAD", "POST", "PURGE"].into_iter();
    let allowed = allowed.filter(|m| near.iter().any(|s| takes_method(s, m)));
    allowed.collect::<Vec<_>>().join(", ")
}

fn check(table: &Table<Spec>, specs: &[Spec], request: &Request) -> &'static str {
    with_facts(request, |facts| match (table.find(facts), winner(specs, request)) {
        (Found::Match { target, branch }, Some(best)) => {
            assert_eq!(*target, specs[best], "{request:?}");
            assert_eq!(table.branches()[branch].target, specs[best]);
            why(table, specs, request, (facts, branch, best));
            "match"
        }
        (Found::MethodNotAllowed { allow }, None) => {
            assert_eq!(allow, expected_allow(specs, request), "{request:?} in {specs:#?}");
            assert!(!allow.is_empty());
            "method"
        }
        (Found::Nothing, None) => {
            assert_eq!(expected_allow(specs, request), "", "{request:?} in {specs:#?}");
            for near in table.nearest(facts, 3) {
                assert!(near.difference.contains(": wants "), "{}", near.difference);
            }
            "nothing"
        }
        (found, best) => panic!("{found:?} instead of {best:?} for {request:?} in {specs:#?}"),
    })
}

/// The reasons name every branch that loses and no other, and the first step at which the model says so.
fn why(
    table: &Table<Spec>,
    specs: &[Spec],
    request: &Request,
    (facts, branch, best): (&RequestFacts<'_>, usize, usize),
) {
    let winner = &specs[best];
    let takes = |spec: &&Spec| {
        takes_all_but_method(spec, request) && takes_method(spec, request.method) && *spec != winner
    };
    let beaten = table.beaten(facts, branch);
    assert_eq!(beaten.len(), specs.iter().filter(takes).count(), "{request:?} in {specs:#?}");
    for pair in beaten.windows(2) {
        assert!(compare(pair[0].target, pair[1].target).is_ge(), "{pair:?}");
    }
    for it in beaten {
        assert!(compare(it.target, winner).is_lt() && takes(&it.target), "{it:?}");
        let step = it.lost.split(':').next().unwrap();
        assert_eq!(step, first_step(it.target, winner), "{it:?} {winner:?}");
    }
    for host in table.fell_through(facts, branch) {
        let of = |spec: &&Spec| spec.host == host && compare(spec, winner).is_gt();
        assert!(specs.iter().any(|spec| of(&spec)), "{host} {winner:?}");
    }
}

/// A step of the rule: its name, and how to take it from another.
type Step = (&'static str, fn(&mut Spec, &Spec));

/// The step of the rule that decides between two, when all before it are equal.
fn first_step(a: &Spec, b: &Spec) -> &'static str {
    let steps: [Step; 7] = [
        ("host", |to, from| to.host = from.host),
        ("path", |to, from| to.path.clone_from(&from.path)),
        ("method", |to, from| to.methods.clone_from(&from.methods)),
        ("headers", |to, from| to.headers.clone_from(&from.headers)),
        ("query", |to, from| to.query.clone_from(&from.query)),
        ("client_ip, listener", |to, from| {
            to.client_ip.clone_from(&from.client_ip);
            to.listeners.clone_from(&from.listeners);
        }),
        ("priority", |to, from| to.priority = from.priority),
    ];
    let mut mixed = b.clone();
    for (name, take) in steps {
        take(&mut mixed, a);
        if compare(&mixed, b).is_ne() {
            return name;
        }
    }
    "none"
}

/// Enough for every mutation of the rule that was tried to be found.
const ROUNDS: usize = 300;

#[test]
fn the_table_agrees_with_the_model() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut seen = std::collections::HashMap::<_, u32>::new();
    for round in 0..ROUNDS {
        let count = 1 + dice.roll(60);
        let rich = round % 2 == 0;
        let mut specs: Vec<Spec> = (0..count).map(|_| dice.spec(rich)).collect();
        if round % 5 == 0 {
            // One host: many expressions meet at one node.
            specs.iter_mut().for_each(|spec| spec.host = "");
        }
        specs = without_conflicts(&specs, &mut seen);
        let table = Table::build(branches(&specs)).unwrap();
        let mut shuffled = specs.clone();
        dice.shuffle(&mut shuffled);
        let reordered = Table::build(branches(&shuffled)).unwrap();
        for _ in 0..60 {
            let request = dice.request();
            *seen.entry(check(&table, &specs, &request)).or_default() += 1;
            check(&reordered, &shuffled, &request);
        }
    }
    for (what, least) in [("match", 8000), ("method", 200), ("nothing", 500), ("conflict", 100)] {
        assert!(seen[what] > least, "{what} was hardly tried: {seen:?}");
    }
}

/// Compares conflicts with the model's, and leaves out the later branch of each.
fn without_conflicts(
    specs: &[Spec],
    seen: &mut std::collections::HashMap<&'static str, u32>,
) -> Vec<Spec> {
    let clash = |a: usize, b: usize| {
        compare(&specs[a], &specs[b]).is_eq() && !disjoint(&specs[a], &specs[b])
    };
    let expected: Vec<(usize, usize)> =
        (0..specs.len()).filter_map(|b| (0..b).find(|a| clash(*a, b)).map(|a| (a, b))).collect();
    let conflicts = Table::build(branches(specs)).err().unwrap_or_default();
    let seconds: Vec<usize> = conflicts.iter().map(|c| c.second).collect();
    let want: Vec<usize> = expected.iter().map(|(_, b)| *b).collect();
    assert_eq!(seconds, want, "{specs:#?}");
    for conflict in &conflicts {
        assert!(clash(conflict.first, conflict.second), "{conflict:?} {specs:#?}");
        *seen.entry("conflict").or_default() += 1;
        *seen.entry("example").or_default() += u32::from(conflict.example.is_some());
    }
    let kept = specs.iter().enumerate().filter(|(at, _)| !seconds.contains(at));
    kept.map(|(_, spec)| spec.clone()).collect()
}

#[test]
fn many_branches_on_one_path_conflict_like_few() {
    // Large groups are split by exact values; the answer must not change.
    let mut dice = Dice(7);
    let mut seen = std::collections::HashMap::new();
    for _ in 0..300 {
        let conditions = ["1", "1", "2", "2", "3", "present", "absent", "prefix 1"];
        let mut spec = || Spec {
            host: "a.com",
            path: "/a".to_owned(),
            methods: vec![dice.pick(&["GET", "POST", "PURGE"])],
            headers: vec![("x-a", dice.pick(&conditions)), ("x-b", dice.pick(&conditions))],
            query: Vec::new(),
            client_ip: Vec::new(),
            listeners: vec![dice.pick(&["http", "https"])],
            priority: 0,
        };
        let specs: Vec<Spec> = (0..30).map(|_| spec()).collect();
        without_conflicts(&specs, &mut seen);
    }
    assert!(seen["conflict"] > 1000 && seen["example"] > 1000, "{seen:?}");
}

#[test]
fn a_shadowed_branch_never_wins() {
    let mut dice = Dice(11);
    let mut shadowed = 0;
    for _ in 0..100 {
        let specs = (0..40)
            .map(|_| {
                let mut spec = dice.spec(true);
                spec.path = dice.pick(&["/a", "/a/**"]).to_owned();
                spec.host = dice.pick(&["", "a.com"]);
                spec
            })
            .collect::<Vec<_>>();
        let specs = without_conflicts(&specs, &mut std::collections::HashMap::new());
        let pairs = Table::shadowed(&branches(&specs));
        shadowed += pairs.len();
        for _ in 0..200 {
            let request = dice.request();
            let best = winner(&specs, &request);
            assert!(!pairs.iter().any(|(hidden, _)| Some(*hidden) == best), "{request:?}");
        }
    }
    assert!(shadowed > 20, "{shadowed}");
}
