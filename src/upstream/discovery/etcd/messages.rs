//! The messages of etcd that are needed, and of these the fields that are. By hand from `rpc.proto`
//! and `kv.proto` of etcd 3, whose field numbers never change; what is not here is skipped.

use std::fmt;

/// A key with its value.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) value: Vec<u8>,
}

/// Stands in every answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResponseHeader {
    /// Of the whole store, when this was answered.
    #[prost(int64, tag = "3")]
    pub(super) revision: i64,
}

/// Asks for the keys from `key` to before `range_end`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) limit: i64,
}

/// The keys there are.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    #[prost(message, repeated, tag = "2")]
    pub(super) kvs: Vec<KeyValue>,
    /// How many there are, whatever the limit was.
    #[prost(int64, tag = "4")]
    pub(super) count: i64,
}

/// What a client says on the stream of a watch; only this of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) create: Option<WatchCreateRequest>,
}

/// Asks for the changes of the keys from `key` to before `range_end`, since a revision.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WatchCreateRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) start_revision: i64,
}

/// What the member says on it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WatchResponse {
    #[prost(bool, tag = "3")]
    pub(super) created: bool,
    #[prost(bool, tag = "4")]
    pub(super) canceled: bool,
    /// Not 0: what was asked for is forgotten; this is the oldest revision there is.
    #[prost(int64, tag = "5")]
    pub(super) compact_revision: i64,
    #[prost(string, tag = "6")]
    pub(super) cancel_reason: String,
    #[prost(message, repeated, tag = "11")]
    pub(super) events: Vec<Event>,
}

/// A change of one key.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    /// [`Event::DELETE`], or it was put.
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) kv: Option<KeyValue>,
}

/// Asks for a token.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct AuthenticateRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) password: String,
}

/// The token.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct AuthenticateResponse {
    #[prost(string, tag = "2")]
    pub(super) token: String,
}

// === impl Event ===

impl Event {
    /// The key is gone: somebody removed it, or its lease is over.
    pub(super) const DELETE: i32 = 1;
}

// === impl AuthenticateRequest ===

impl fmt::Debug for AuthenticateRequest {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl AuthenticateResponse ===

impl fmt::Debug for AuthenticateResponse {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateResponse").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn kv(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: value.into() }
    }

    /// The bytes were written by hand after the encoding of protobuf: tag, length, content.
    #[test]
    fn requests_are_what_etcd_reads() {
        let range = RangeRequest { key: b"a".into(), range_end: b"b".into(), limit: 300 };
        assert_eq!(range.encode_to_vec(), b"\x0a\x01a\x12\x01b\x18\xac\x02");
        let create =
            WatchCreateRequest { key: b"a".into(), range_end: b"b".into(), start_revision: 7 };
        let watch = WatchRequest { create: Some(create) };
        assert_eq!(watch.encode_to_vec(), b"\x0a\x08\x0a\x01a\x12\x01b\x18\x07");
        let ask = AuthenticateRequest { name: "me".into(), password: "pw".into() };
        assert_eq!(ask.encode_to_vec(), b"\x0a\x02me\x12\x02pw");
    }

    #[test]
    fn answers_are_read_with_fields_that_are_not_known() {
        // header { cluster 1: 9, revision 3: 5 }, kvs { key, create 2: 1, mod 3: 2, version 4: 1,
        // value, lease 6: 8 }, more 3: true, count 4: 2.
        let bytes =
            b"\x0a\x04\x08\x09\x18\x05\x12\x0e\x0a\x01k\x10\x01\x18\x02\x20\x01\x2a\x01v\x30\x08\
            \x18\x01\x20\x02";
        let answer = RangeResponse::decode(&bytes[..]).unwrap();
        let header = Some(ResponseHeader { revision: 5 });
        assert_eq!(answer, RangeResponse { header, kvs: vec![kv("k", "v")], count: 2 });

        // watch_id 2: 3, created, canceled, compact_revision 5: 4, reason 6, event 11 of a delete.
        let bytes = b"\x10\x03\x18\x01\x20\x01\x28\x04\x32\x02no\x5a\x07\x08\x01\x12\x03\x0a\x01k";
        let answer = WatchResponse::decode(&bytes[..]).unwrap();
        let expected = WatchResponse {
            created: true,
            canceled: true,
            compact_revision: 4,
            cancel_reason: "no".into(),
            events: vec![Event { kind: Event::DELETE, kv: Some(kv("k", "")) }],
        };
        assert_eq!(answer, expected);

        let bytes = b"\x0a\x02\x18\x05\x12\x03tok";
        assert_eq!(AuthenticateResponse::decode(&bytes[..]).unwrap().token, "tok");
    }

    #[test]
    fn secrets_are_not_shown() {
        let ask = AuthenticateRequest { name: "me".into(), password: "geheim".into() };
        let got = AuthenticateResponse { token: "geheim".into() };
        let shown = format!("{ask:?} {got:?}");
        assert!(shown.contains("me") && !shown.contains("geheim"), "{shown}");
    }
}
