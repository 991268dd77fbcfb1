//! Puts in force which refusals are in shadow, and says so in the log.

use engine::Engine;

use crate::settings::{Settings, ShadowRule};

/// Puts the settings' `[[shadow]]` in force, in place of those before.
pub(super) fn put_in_force(settings: &Settings, engine: &Engine) {
    let policy = ShadowRule::policy(&settings.shadow);
    if policy.lets_anybody_in() {
        tracing::warn!(
            refusals = words(policy.for_all()),
            "[[shadow]] lets requests through that show no good key: the service behind gets \
             them as nobody's, and decides by itself what they may"
        );
    }
    if !policy.is_empty() {
        tracing::info!(
            refusals = words(policy.kinds()),
            "refusals in shadow are logged and let through"
        );
    }
    engine.set_shadow(policy);
}

fn words(reasons: engine::ReasonSet) -> String {
    let words: Vec<_> = reasons.iter().map(engine::Reason::as_str).collect();
    words.join(", ")
}
