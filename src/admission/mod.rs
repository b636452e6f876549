//! How many requests at once, and who waits for whom when there are more: limits that are fixed or found
//! by watching how fast a service answers, a bounded queue by class in front of each. Stands before an
//! upstream (`limits`) and, as a layer, before a route (`concurrency`). And how many bytes a second (`bandwidth`).

mod adaptive;
mod bucket;
mod histogram;
mod keyed;
mod limiter;
mod queue;

pub(crate) use self::{
    bucket::{Bucket, Buckets},
    keyed::Keyed,
    limiter::{Limiter, Permit, Settings, Shed},
};
