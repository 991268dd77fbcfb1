//! Placeholder constants.
/// The largest limit.
pub(crate) const MAX_LIMIT: u64 = (1 << 36) - 2;
