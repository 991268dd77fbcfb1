//! SIGHUP: the settings read again. What can change does; what cannot is named
//! in the log; a file that is wrong changes nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use engine::Engine;

use super::live::Live;
use super::logging::Logging;
use super::metrics::Totals;
use super::shadow;
use crate::error::OperatorError;
use crate::settings::Settings;

/// What a reload works on.
pub(super) struct Reload {
    /// The settings that the server was started with: what needs a restart is
    /// in force as it stands there.
    started: Settings,
    engine: Arc<Engine>,
    live: Arc<ArcSwap<Live>>,
    logging: Logging,
    totals: Arc<Totals>,
}

impl Reload {
    pub(super) fn new(
        started: Settings,
        engine: Arc<Engine>,
        live: Arc<ArcSwap<Live>>,
        logging: Logging,
        totals: Arc<Totals>,
    ) -> Self {
        Self {
            started,
            engine,
            live,
            logging,
            totals,
        }
    }

    /// Reads the settings again and logs how it went.
    pub(super) fn run(&self) {
        let ran = self.try_run();
        self.totals.reloaded(ran.is_ok());
        match ran {
            Ok(restart) if restart.is_empty() => tracing::info!("the settings were reloaded"),
            Ok(restart) => tracing::warn!(
                settings = restart.join(", "),
                "the settings were reloaded, but for these, which need a restart"
            ),
            Err(error) => tracing::error!(
                %error,
                "the settings were not reloaded; those before stay in force"
            ),
        }
    }

    /// Returns the changed settings that need a restart.
    fn try_run(&self) -> Result<Vec<&'static str>, OperatorError> {
        let settings = self.started.reread()?;
        let live = Live::new(&settings, &self.engine)?;
        self.live.store(Arc::new(live));
        shadow::put_in_force(&settings, &self.engine);
        self.logging.set_level(settings.log.level);
        Ok(fixed_changes(&self.started, &settings))
    }
}

/// The settings that differ and are only read at the start.
fn fixed_changes(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let differing = fixed(old, new).filter(|(_, differs)| *differs);
    differing.map(|(name, _)| name).collect()
}

/// The settings that are only read at the start, and whether each differs.
fn fixed(old: &Settings, new: &Settings) -> impl Iterator<Item = (&'static str, bool)> {
    /// Each of a list of fields with its name, and whether it differs.
    macro_rules! differ {
        ($($section:ident . $field:ident as $name:literal,)*) => {
            [$(($name, old.$section.$field != new.$section.$field),)*]
        };
    }
    let differ = differ! {
        server.listen as "server.listen",
        server.admin_listen as "server.admin_listen",
        server.threads as "server.threads",
        server.upstream as "server.upstream",
        server.connect_timeout as "server.connect_timeout_s",
        server.max_connections as "server.max_connections",
        server.max_connections_per_address as "server.max_connections_per_address",
        server.max_header_bytes as "server.max_header_bytes",
        admin.hosts as "admin.hosts",
        admin.metrics_token as "admin.metrics_token",
        admin.secure_cookie as "admin.secure_cookie",
        admin.session as "admin.session_s",
        store.data_dir as "store.data_dir",
        store.file as "store.file",
        store.secret_file as "store.secret_file",
        store.ledger as "store.ledger",
        store.lock_timeout as "store.lock_timeout_s",
        keys.prefixes as "keys.prefixes",
        keys.max_keys as "keys.max_keys",
        failures.threshold as "failures.threshold",
        failures.window_s as "failures.window_s",
        failures.block_s as "failures.block_s",
        failures.exempt as "failures.exempt",
        failures.max_addresses as "failures.max_addresses",
        cors.origins as "cors.origins",
        log.format as "log.format",
        otel.endpoint as "otel.endpoint",
        otel.service_name as "otel.service_name",
        otel.sample_ratio as "otel.sample_ratio",
        usage.interval as "usage.interval_s",
    };
    differ.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::names;

    #[test]
    fn what_needs_a_restart_is_named() {
        let old = Settings::default();
        let mut new = Settings::default();
        new.log.access = true;
        new.http.forward_key = true;
        assert!(fixed_changes(&old, &new).is_empty());
        new.server.threads = 7;
        new.failures.block_s = 1;
        assert_eq!(
            fixed_changes(&old, &new),
            ["server.threads", "failures.block_s"]
        );
    }

    /// Each setting is read again, or named as one that is not.
    #[test]
    fn no_setting_is_forgotten() {
        let settings = Settings::default();
        let fixed: Vec<_> = fixed(&settings, &settings).map(|(name, _)| name).collect();
        let read_again: Vec<_> = names().filter(|name| !fixed.contains(name)).collect();
        assert_eq!(
            read_again,
            [
                "server.shutdown_grace_s",
                "server.header_timeout_s",
                "server.idle_timeout_s",
                "server.upstream_timeout_s",
                "cors.max_age_s",
                "http.realm",
                "http.legacy_headers",
                "http.forward_key",
                "http.trusted_proxies",
                "http.forwarded_header",
                "log.level",
                "log.access",
                "routes",
                "shadow",
            ]
        );
    }
}
