//! The known name that an unknown one was probably meant to be.

use strsim::normalized_damerau_levenshtein;

/// The name nearest to `given`; of dotted names the last part counts as well,
/// so that a setting in the wrong section is found. Letter case does not
/// matter. An empty list gives an empty name.
pub(crate) fn nearest(given: &str, names: impl IntoIterator<Item = &'static str>) -> &'static str {
    let given = given.to_ascii_lowercase();
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let alike = |name: &str| {
        let whole = normalized_damerau_levenshtein(&given, &name.to_ascii_lowercase());
        // A little less, so that of two the one in the same section wins.
        let part = normalized_damerau_levenshtein(&last(&given), &last(name)) * 0.95;
        whole.max(part)
    };
    names
        .into_iter()
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn typing_errors_and_wrong_sections_are_seen_through() {
        let names = [
            "server.listen",
            "server.admin_listen",
            "cors.origins",
            "log.level",
        ];
        for (given, meant) in [
            ("server.lisetn", "server.listen"),
            ("server.LISTEN", "server.listen"),
            ("listen", "server.listen"),
            ("http.origins", "cors.origins"),
            ("log.levle", "log.level"),
            ("admin.listen", "server.listen"),
        ] {
            assert_eq!(nearest(given, names), meant, "{given}");
        }
        assert_eq!(nearest("x", []), "");
    }
}
