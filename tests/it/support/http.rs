//! An HTTP/1.1 client that sends exactly the bytes it is given and shows exactly what came back.

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use super::{
    wait::DEADLINE,
    wire::{Cut, Framing, Head, Wire},
};

/// Anything a connection can be made of.
pub(crate) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// One client connection.
pub(crate) struct Client {
    wire: Wire<Box<dyn Stream>>,
    tcp: Option<TcpStream>,
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Status line and fields.
    pub(crate) head: Head,
    /// Body, decoded.
    pub(crate) body: Vec<u8>,
    /// Trailer fields.
    pub(crate) trailers: Vec<(String, String)>,
    /// Interim responses that came before it.
    pub(crate) interim: Vec<Head>,
}

// === impl Client ===

impl Client {
    /// Connects over TCP.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the listener accepts");
        Self::over_tcp(stream)
    }

    /// Uses a TCP stream that is connected already.
    pub(crate) fn over_tcp(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        let tcp = stream.try_clone().ok();
        Self { wire: Wire::new(Box::new(stream)), tcp }
    }

    /// Uses a TLS session over a TCP stream.
    pub(crate) fn over_tls(tcp: TcpStream, session: impl Stream + 'static) -> Self {
        Self { wire: Wire::new(Box::new(session)), tcp: Some(tcp) }
    }

    /// Connects over a Unix socket.
    #[track_caller]
    pub(crate) fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the socket accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        Self { wire: Wire::new(Box::new(stream)), tcp: None }
    }

    /// Sends bytes as they are; false when the gateway is gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes)
    }

    /// Sends a request line with `Host` and the fields given (`"Name: value"`), no body.
    pub(crate) fn request(&mut self, method: &str, host: &str, target: &str, fields: &[&str]) {
        self.send(head(method, host, target, fields));
    }

    /// A request and its response.
    #[track_caller]
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        host: &str,
        target: &str,
        fields: &[&str],
    ) -> Response {
        self.request(method, host, target, fields);
        self.response_to(method)
    }

    /// A GET and its response.
    #[track_caller]
    pub(crate) fn get(&mut self, host: &str, target: &str) -> Response {
        self.exchange("GET", host, target, &[])
    }

    /// A POST with a sized body and its response.
    #[track_caller]
    pub(crate) fn post(&mut self, host: &str, target: &str, body: &[u8]) -> Response {
        let length = format!("Content-Length: {}", body.len());
        self.request("POST", host, target, &[&length]);
        self.send(body);
        self.response()
    }

    /// The response to anything but HEAD; panics when the connection ends first or cuts it.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The response to this method.
    #[track_caller]
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        match self.try_response(method) {
            Some((response, None)) => response,
            Some((response, Some(Cut(part)))) => panic!(
                "the response was cut: {:?} {:?}",
                response.head,
                String::from_utf8_lossy(&part)
            ),
            None => panic!("the connection ended without a response: {:?}", self.wire.peek()),
        }
    }

    /// The response and, if its body was cut, what came of it; `None` when the connection ended.
    #[track_caller]
    pub(crate) fn try_response(&mut self, method: &str) -> Option<(Response, Option<Cut>)> {
        let (interim, head) = self.head()?;
        let status = status_of(&head);
        let bodiless = method == "HEAD" || status == 204 || status == 304 || status == 101;
        let framing = if bodiless { Framing::None } else { head.framing(Framing::Close) };
        let (body, cut) = match self.wire.body(framing) {
            Ok(body) => (body, None),
            Err(cut) => (Vec::new(), Some(cut)),
        };
        let trailers = std::mem::take(&mut self.wire.trailers);
        Some((Response { status, head, body, trailers, interim }, cut))
    }

    /// Interim heads and the final one, leaving the body on the wire.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Option<(Vec<Head>, Head)> {
        let mut interim = Vec::new();
        loop {
            let head = self.wire.head()?;
            let status = status_of(&head);
            if status >= 200 || status == 101 {
                return Some((interim, head));
            }
            interim.push(head);
        }
    }

    /// The connection as bytes.
    pub(crate) fn wire(&mut self) -> &mut Wire<Box<dyn Stream>> {
        &mut self.wire
    }

    /// Whether the gateway closes now, having sent nothing more.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> bool {
        self.wire.closed()
    }

    /// The TCP socket beneath.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.tcp.as_ref().expect("this connection is not TCP")
    }
}

// === impl Response ===

impl Response {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the text when it is none.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {:?} {:?}", self.head, self.text()))
    }

    /// The reason word of an error made by the gateway.
    #[track_caller]
    pub(crate) fn reason(&self) -> String {
        match self.json()["reason"].as_str() {
            Some(word) => word.to_owned(),
            None => panic!("no reason in {}", self.text()),
        }
    }

    /// A header field.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// A field of an echoed request (see [`super::raw::Raw::echo`]); several are joined by `|`.
    pub(crate) fn echoed(&self, name: &str) -> Option<String> {
        let text = self.text();
        let values: Vec<_> = text
            .lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": "))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect();
        (!values.is_empty()).then(|| values.join("|"))
    }

    /// The request target of an echoed request.
    pub(crate) fn echoed_target(&self) -> String {
        self.text().split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

/// A request head with `Host` and the fields given.
pub(crate) fn head(method: &str, host: &str, target: &str, fields: &[&str]) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for field in fields {
        let _ = write!(text, "{field}\r\n");
    }
    text + "\r\n"
}

#[track_caller]
fn status_of(head: &Head) -> u16 {
    head.word(1).parse().unwrap_or_else(|_| panic!("not a status line: {:?}", head.first))
}
