//! Route tables of any size and requests for them, shared by the benches.

use http::{HeaderMap, Method};
use tidegate::routing::{
    Branch, Found, HostPattern, MethodSet, PathPattern, RequestFacts, Table, ValueCondition,
};

/// A table of `count` routes as a gateway for many teams has it: 20 routes a host, literal and
/// named segments, tails, methods, header conditions, one wildcard host and a catch-all.
pub(crate) fn table(count: usize) -> Table<usize> {
    let branches = (0..count).map(|at| branch(at, count)).collect();
    Table::build(branches).unwrap_or_else(|_| panic!("the routes have no conflicts"))
}

fn branch(at: usize, count: usize) -> Branch<usize> {
    let (host, service) = (at / 20, at % 20);
    let (path, methods) = match service % 5 {
        0 => (format!("/service-{service}/**"), None),
        1 => (format!("/service-{service}/{{id}}/items"), Some([Method::GET])),
        2 => (format!("/service-{service}/{{id:[0-9]+}}/**"), None),
        3 => (format!("/service-{service}/health"), Some([Method::GET])),
        _ => (format!("/service-{service}/{{id}}/**"), Some([Method::POST])),
    };
    let host = match at {
        0 => HostPattern::Any,
        at if at + 1 == count => HostPattern::AnyLabels("example.com".into()),
        _ => HostPattern::Exact(format!("team-{host}.example.com").into()),
    };
    let header = (http::HeaderName::from_static("x-beta"), ValueCondition::Exact("1".into()));
    Branch {
        host,
        path: PathPattern::parse(&path).expect("the pattern is well formed"),
        methods: methods.map(|methods| methods.iter().collect::<MethodSet>()),
        headers: if service == 10 { vec![header] } else { Vec::new() },
        query: Vec::new(),
        client_ip: Vec::new(),
        listeners: Vec::new(),
        priority: 0,
        target: at,
    }
}

/// Requests spread over the whole table, a tenth of which no route takes.
pub(crate) struct Requests {
    requests: Vec<(String, String, Method)>,
    headers: HeaderMap,
}

impl Requests {
    /// 100 requests for a table of `count` routes.
    pub(crate) fn new(count: usize) -> Self {
        let requests = (0..100)
            .map(|at| {
                let route = (at * 7919 + 1) % count;
                let (host, service) = (route / 20, route % 20);
                let host = format!("team-{host}.example.com");
                let (path, method) = match service % 5 {
                    _ if at % 10 == 9 => ("/nothing/here".to_owned(), Method::GET),
                    0 => (format!("/service-{service}/a/b/c"), Method::GET),
                    1 => (format!("/service-{service}/abc/items"), Method::GET),
                    2 => (format!("/service-{service}/4711/items/7"), Method::GET),
                    3 => (format!("/service-{service}/health"), Method::GET),
                    _ => (format!("/service-{service}/abc/x"), Method::POST),
                };
                (host, path, method)
            })
            .collect();
        Self { requests, headers: HeaderMap::new() }
    }

    /// Looks up every request once; says how many routes were found.
    #[inline(never)] // its name is where instruction counting starts
    pub(crate) fn run(&self, table: &Table<usize>) -> usize {
        let found = |(host, path, method): &(String, String, Method)| {
            let facts = RequestFacts {
                host,
                path,
                query: None,
                method,
                headers: &self.headers,
                client_ip: None,
                listener: "https",
            };
            matches!(table.find(std::hint::black_box(&facts)), Found::Match { .. })
        };
        self.requests.iter().filter(|request| found(request)).count()
    }
}
