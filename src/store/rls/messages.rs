//! The messages of `envoy.service.ratelimit.v3` that are needed, and of these the fields that are. By hand from
//! `rls.proto` and `ratelimit.proto` of Envoy, whose field numbers never change; what is not here is skipped.

/// What is asked.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RateLimitRequest {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) descriptors: Vec<Descriptor>,
    /// How many are taken.
    #[prost(uint32, tag = "3")]
    pub(super) hits_addend: u32,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    pub(super) entries: Vec<Entry>,
    #[prost(message, optional, tag = "2")]
    pub(super) limit: Option<Override>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A limit that the one who asks sets.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Override {
    #[prost(uint32, tag = "1")]
    pub(super) requests_per_unit: u32,
    /// 1 second, 2 minute, 3 hour, 4 day, 5 month.
    #[prost(int32, tag = "2")]
    pub(super) unit: i32,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RateLimitResponse {
    /// 1 lets pass, 2 does not.
    #[prost(int32, tag = "1")]
    pub(super) overall_code: i32,
    /// Of each descriptor, in the order asked.
    #[prost(message, repeated, tag = "2")]
    pub(super) statuses: Vec<DescriptorStatus>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct DescriptorStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(uint32, tag = "3")]
    pub(super) limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    pub(super) duration_until_reset: Option<Time>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}
