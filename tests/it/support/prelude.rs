//! What nearly every suite uses.

pub(crate) use std::time::Duration;

pub(crate) use super::{
    certs::Authority,
    flask::Flask,
    gateway::Gateway,
    http::Client,
    nginx::Nginx,
    raw::Raw,
    tools::curl,
    wait::{DEADLINE, block_on, eventually, pause, until},
};
