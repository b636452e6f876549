//! One call of gRPC to a service, over the pools of its upstream: a message there, a message back.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, USER_AGENT},
};
use prost::Message;

use super::{Answer, Service};
use crate::layers::Request;

/// `User-Agent` of all questions.
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// One message on its way: a call that is not compressed.
pub(crate) fn question(service: &Service, message: &impl Message) -> Request {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    let mut question = service.question(frame.freeze());
    *question.method_mut() = Method::POST;
    let headers = question.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Ok(limit) = HeaderValue::try_from(format!("{}m", service.timeout.as_millis())) {
        headers.insert("grpc-timeout", limit);
    }
    question
}

/// The one message of a call that went well.
pub(crate) fn message<M: Message + Default>(answer: Answer) -> Result<M, String> {
    if answer.head.status != StatusCode::OK {
        return Err(format!("it answered {}", answer.head.status));
    }
    let Some((body, trailers)) = answer.rest else {
        return Err("no whole answer, or too large a one".to_owned());
    };
    // Where there is nothing to say, the status stands in the head.
    let status = trailers.get("grpc-status").or(answer.head.headers.get("grpc-status"));
    match status.map(HeaderValue::as_bytes) {
        Some(b"0") => {}
        Some(code) => return Err(format!("gRPC status {}", code.escape_ascii())),
        None => return Err("no gRPC status".to_owned()),
    }
    let message = unframed(body).ok_or("not one message, or a compressed one")?;
    M::decode(message).map_err(|error| error.to_string())
}

fn unframed(mut body: Bytes) -> Option<Bytes> {
    let whole = body.len() >= 5 && body.get_u8() == 0 && body.get_u32() as usize == body.len();
    whole.then_some(body)
}
