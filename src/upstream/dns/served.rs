//! A name server for tests, over UDP and TCP on one free port: says what it is told to, counts what
//! it is asked.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SRV},
    },
};

use super::*;

/// What is longer is cut off over UDP, as with RFC 6891 and its usual 1232 bytes.
const LONGEST_DATAGRAM: usize = 1232;

/// What is said of one kind of records of a name.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    Records(Vec<Record>),
    Code(ResponseCode),
    Silence,
}

/// What is said. Of other records of a name that is in it: that there is none; of other names: that
/// they do not exist.
pub(crate) type Zone = HashMap<(Name, RecordType), Say>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) kind: RecordType,
    pub(crate) tcp: bool,
}

/// The server. It lives as long as the test process.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

// === impl Served ===

impl Served {
    pub(crate) fn new() -> Self {
        // The port is free over UDP; that it is over TCP as well is likely.
        let pair = || {
            let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
            let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
            Some((udp, tcp))
        };
        let (udp, tcp) = (0..20).find_map(|_| pair()).unwrap();
        let served = Self {
            address: udp.local_addr().unwrap(),
            zone: Arc::default(),
            asked: Arc::default(),
        };
        let (zone, asked) = (Arc::clone(&served.zone), Arc::clone(&served.asked));
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                if let Some(answer) = answer(&buffer[..length], false, &zone, &asked) {
                    udp.send_to(&answer, peer).unwrap();
                }
            }
        });
        let (zone, asked) = (Arc::clone(&served.zone), Arc::clone(&served.asked));
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let (zone, asked) = (Arc::clone(&zone), Arc::clone(&asked));
                std::thread::spawn(move || connection(&stream.unwrap(), &zone, &asked));
            }
        });
        served
    }

    /// From now on, of this name.
    pub(crate) fn say(&self, name: &str, kind: RecordType, say: Say) {
        self.zone.lock().insert((Name::from_utf8(name).unwrap(), kind), say);
    }

    pub(crate) fn records(&self, name: &str, kind: RecordType, records: &[Record]) {
        self.say(name, kind, Say::Records(records.to_vec()));
    }

    /// Nothing is there any more.
    pub(crate) fn clear(&self) {
        self.zone.lock().clear();
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock())
    }

    /// Asks it alone, with little patience.
    pub(crate) fn resolver(&self) -> Resolver {
        let lookup = Lookup::server(self.address, Duration::from_millis(500), 1).unwrap();
        Resolver::with_lookup(Handle::current(), lookup)
    }
}

/// Reads these two files.
pub(crate) fn of_files(hosts: &Path, resolv_conf: &Path) -> Resolver {
    let lookup = Lookup::files(hosts.to_owned(), resolv_conf.to_owned());
    Resolver::with_lookup(Handle::current(), lookup)
}

/// An A or AAAA record.
pub(crate) fn address(name: &str, ttl: u32, ip: &str) -> Record {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    Record::from_rdata(Name::from_utf8(name).unwrap(), ttl, data)
}

pub(crate) fn alias(name: &str, ttl: u32, target: &str) -> Record {
    let data = RData::CNAME(CNAME(Name::from_utf8(target).unwrap()));
    Record::from_rdata(Name::from_utf8(name).unwrap(), ttl, data)
}

/// An SRV record; priority, weight, port.
pub(crate) fn service(name: &str, ttl: u32, numbers: [u16; 3], target: &str) -> Record {
    let [priority, weight, port] = numbers;
    // As it is written; the other way makes it lower case.
    let target = Name::from_ascii(target).unwrap();
    let data = RData::SRV(SRV::new(priority, weight, port, target));
    Record::from_rdata(Name::from_utf8(name).unwrap(), ttl, data)
}

fn connection(mut stream: &TcpStream, zone: &Mutex<Zone>, asked: &Mutex<Vec<Asked>>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query).unwrap();
        if let Some(answer) = answer(&query, true, zone, asked) {
            let length = u16::try_from(answer.len()).unwrap();
            stream.write_all(&[&length.to_be_bytes(), &answer[..]].concat()).unwrap();
        }
    }
}

fn answer(
    query: &[u8],
    tcp: bool,
    zone: &Mutex<Zone>,
    asked: &Mutex<Vec<Asked>>,
) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).unwrap();
    let question = query.queries[0].clone();
    let (name, kind) = (question.name().to_lowercase(), question.query_type());
    asked.lock().push(Asked { name: name.to_utf8(), kind, tcp });
    let zone = zone.lock();
    let exists = zone.keys().any(|(known, _)| *known == name);
    let mut message = Message::response(query.id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(question);
    match zone.get(&(name, kind)) {
        Some(Say::Silence) => return None,
        Some(Say::Code(code)) => message.metadata.response_code = *code,
        Some(Say::Records(records)) => {
            message.add_answers(records.clone());
        }
        None if !exists => message.metadata.response_code = ResponseCode::NXDomain,
        None => {}
    }
    let whole = message.to_vec().unwrap();
    if !tcp && whole.len() > LONGEST_DATAGRAM {
        return Some(message.truncate().to_vec().unwrap());
    }
    Some(whole)
}
