//! The messages of `envoy.service.auth.v3` that are needed, and of these the fields that are. By hand from
//! `external_auth.proto` and `attribute_context.proto` of Envoy, whose field numbers never change; what is
//! not here is skipped.

use std::collections::HashMap;

/// What is asked.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) attributes: Option<Attributes>,
}

/// `AttributeContext`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attributes {
    #[prost(message, optional, tag = "1")]
    pub(super) source: Option<Peer>,
    #[prost(message, optional, tag = "2")]
    pub(super) destination: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    pub(super) request: Option<AttributeRequest>,
    #[prost(map = "string, string", tag = "10")]
    pub(super) context_extensions: HashMap<String, String>,
    #[prost(message, optional, tag = "12")]
    pub(super) tls_session: Option<TlsSession>,
}

/// One end of the client's connection.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Peer {
    #[prost(message, optional, tag = "1")]
    pub(super) address: Option<Address>,
}

/// Of the kinds of address, the one with a port.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Address {
    #[prost(message, optional, tag = "1")]
    pub(super) socket_address: Option<SocketAddress>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SocketAddress {
    #[prost(string, tag = "2")]
    pub(super) address: String,
    #[prost(uint32, tag = "3")]
    pub(super) port_value: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AttributeRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) time: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    pub(super) http: Option<HttpRequest>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(map = "string, string", tag = "3")]
    pub(super) headers: HashMap<String, String>,
    /// With the query.
    #[prost(string, tag = "4")]
    pub(super) path: String,
    #[prost(string, tag = "5")]
    pub(super) host: String,
    #[prost(string, tag = "6")]
    pub(super) scheme: String,
    /// −1 where it is not known.
    #[prost(int64, tag = "9")]
    pub(super) size: i64,
    #[prost(string, tag = "10")]
    pub(super) protocol: String,
    /// A body that is text.
    #[prost(string, tag = "11")]
    pub(super) body: String,
    /// Any other body.
    #[prost(bytes = "vec", tag = "12")]
    pub(super) raw_body: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TlsSession {
    #[prost(string, tag = "1")]
    pub(super) sni: String,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<RpcStatus>,
    #[prost(oneof = "HttpResponse", tags = "2, 3")]
    pub(super) http: Option<HttpResponse>,
    #[prost(message, optional, tag = "4")]
    pub(super) dynamic_metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum HttpResponse {
    #[prost(message, tag = "2")]
    Denied(DeniedResponse),
    #[prost(message, tag = "3")]
    Ok(OkResponse),
}

/// `google.rpc.Status`: 0 lets pass.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderOption>,
    #[prost(string, tag = "3")]
    pub(super) body: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OkResponse {
    /// For the upstream.
    #[prost(message, repeated, tag = "2")]
    pub(super) headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    pub(super) headers_to_remove: Vec<String>,
    /// For the client.
    #[prost(message, repeated, tag = "6")]
    pub(super) response_headers_to_add: Vec<HeaderOption>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<Header>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) raw_value: Vec<u8>,
}

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Struct {
    #[prost(map = "string, message", tag = "1")]
    pub(super) fields: HashMap<String, Value>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub(super) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(List),
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct List {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Value>,
}

// === impl Struct ===

impl Struct {
    /// The same as JSON.
    pub(super) fn into_claims(self) -> serde_json::Map<String, serde_json::Value> {
        self.fields.into_iter().map(|(name, value)| (name, value.into_json())).collect()
    }
}

impl Value {
    fn into_json(self) -> serde_json::Value {
        match self.kind {
            None | Some(Kind::Null(_)) => serde_json::Value::Null,
            // A number that has no fraction is a whole one: there is only one kind of number here.
            Some(Kind::Number(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
                #[allow(clippy::cast_possible_truncation)] // whole, and within 53 bits
                let whole = number as i64;
                whole.into()
            }
            Some(Kind::Number(number)) => number.into(),
            Some(Kind::Text(text)) => text.into(),
            Some(Kind::Bool(is)) => is.into(),
            Some(Kind::Struct(inner)) => serde_json::Value::Object(inner.into_claims()),
            Some(Kind::List(list)) => list.values.into_iter().map(Self::into_json).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// The bytes were written by hand after the encoding of protobuf: tag, length, content.
    #[test]
    fn questions_are_what_envoy_asks() {
        let http = HttpRequest {
            method: "GET".into(),
            headers: HashMap::from([("a".into(), "b".into())]),
            path: "/p".into(),
            size: -1,
            ..HttpRequest::default()
        };
        let bytes = http.encode_to_vec();
        assert_eq!(
            bytes,
            b"\x12\x03GET\x1a\x06\x0a\x01a\x12\x01b\x22\x02/p\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        );
        let address = SocketAddress { address: "::1".into(), port_value: 80 };
        let source = Peer { address: Some(Address { socket_address: Some(address) }) };
        let attributes = Attributes { source: Some(source), ..Attributes::default() };
        let ask = CheckRequest { attributes: Some(attributes) };
        assert_eq!(ask.encode_to_vec(), b"\x0a\x0d\x0a\x0b\x0a\x09\x0a\x07\x12\x03::1\x18\x50");
    }

    #[test]
    fn answers_are_read_with_fields_that_are_not_known() {
        // status { code 7, message 2 }, denied_response 2 { status { 401 }, headers { header { k, v },
        // append 2 {} }, body 3 }.
        let bytes = b"\x0a\x06\x08\x07\x12\x02no\x12\x16\x0a\x03\x08\x91\x03\
            \x12\x0a\x0a\x06\x0a\x01k\x12\x01v\x12\x00\x1a\x03go!";
        let answer = CheckResponse::decode(&bytes[..]).unwrap();
        let header = Header { key: "k".into(), value: "v".into(), raw_value: Vec::new() };
        let denied = DeniedResponse {
            status: Some(HttpStatus { code: 401 }),
            headers: vec![HeaderOption { header: Some(header) }],
            body: "go!".into(),
        };
        assert_eq!(answer.status, Some(RpcStatus { code: 7 }));
        assert_eq!(answer.http, Some(HttpResponse::Denied(denied)));
    }

    #[test]
    fn metadata_is_json() {
        let text = |text: &str| Value { kind: Some(Kind::Text(text.into())) };
        let number = |number| Value { kind: Some(Kind::Number(number)) };
        let list = List { values: vec![text("a"), number(1.0), number(0.5), Value { kind: None }] };
        let fields = HashMap::from([
            ("roles".to_owned(), Value { kind: Some(Kind::List(list)) }),
            ("is".to_owned(), Value { kind: Some(Kind::Bool(true)) }),
        ]);
        let inner = Value { kind: Some(Kind::Struct(Struct { fields })) };
        let claims = Struct { fields: HashMap::from([("sub".to_owned(), inner)]) }.into_claims();
        let expected = serde_json::json!({ "sub": { "roles": ["a", 1, 0.5, null], "is": true } });
        assert_eq!(serde_json::Value::Object(claims), expected);
    }
}
