//! The check by `grpc.health.v1.Health/Check` (the gRPC health checking protocol). Its two messages have
//! one field each, so they are written and read by hand.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

use super::{
    h2::{self, Answer, Read},
    probe::{Bad, Question},
};
use crate::upstream::http1::Io;

const PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Largest answer. The one that is meant has seven bytes.
const MOST: usize = 4096;

/// What the service says of itself (`HealthCheckResponse.ServingStatus`); 0 is what it says who says
/// nothing.
const SERVING: u64 = 1;
const WORDS: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// Asks for a service, or with the empty name for the whole server.
pub(super) async fn ask(
    question: &Question<'_>,
    service: &str,
    io: Io,
    due: Instant,
) -> Result<(), Bad> {
    let mut request = question.h2_request(PATH)?;
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(GRPC_TIMEOUT, limit(due.saturating_duration_since(Instant::now())));
    let body = Some(message(service));
    judge(&h2::ask(io, (request, body), Read::Whole(MOST), due).await?)
}

/// At most eight digits: 27 hours in milliseconds.
fn limit(time: Duration) -> HeaderValue {
    let millis = time.as_millis().clamp(1, 99_999_999);
    HeaderValue::try_from(format!("{millis}m")).expect("digits and a letter")
}

/// `HealthCheckRequest { service }` as one gRPC message: not compressed, its length, and the field 1 of
/// protobuf's wire type 2 (bytes with their length before them). An empty text is left out.
fn message(service: &str) -> Bytes {
    let mut field = BytesMut::new();
    if !service.is_empty() {
        field.put_u8(1 << 3 | 2);
        put_varint(&mut field, service.len() as u64);
        field.put_slice(service.as_bytes());
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(field.len()).unwrap_or(u32::MAX)); // A name has 1000 bytes at most.
    message.put_slice(&field);
    message.freeze()
}

fn judge(answer: &Answer) -> Result<(), Bad> {
    if answer.status != StatusCode::OK {
        return Err(Bad::new(format!("status {}", answer.status.as_str())));
    }
    // Of a call that failed at once, the status is in the head.
    match grpc_status(&answer.trailers).or_else(|| grpc_status(&answer.headers)) {
        Some("0") => {}
        Some("5") => return Err(Bad::new("grpc-status 5: it knows no such service")),
        Some("12") => return Err(Bad::new("grpc-status 12: it has no health service")),
        Some(code) => return Err(Bad::new(format!("grpc-status {code}"))),
        None => return Err(Bad::new("the answer has no grpc-status")),
    }
    match serving_status(&answer.body) {
        Some(SERVING) => Ok(()),
        Some(status) => {
            let word = usize::try_from(status).ok().and_then(|at| WORDS.get(at));
            Err(Bad::new(word.map_or_else(|| format!("it is {status}"), |word| (*word).to_owned())))
        }
        None => Err(Bad::new("the answer is no HealthCheckResponse")),
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<&str> {
    headers.get(GRPC_STATUS).map(|value| value.to_str().unwrap_or("?"))
}

/// The field 1 of the only message.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (&[compressed, a, b, c, d], message) = body.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    if compressed != 0 || length != message.len() {
        return None;
    }
    let mut rest = message;
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        // Fields that newer versions may have are passed over, by the wire type.
        let size = match key & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(size..)?;
    }
    Some(status)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 128 {
        out.put_u8((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.put_u8(value as u8);
}
