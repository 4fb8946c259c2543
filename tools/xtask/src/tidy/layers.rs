//! A folder is a layer: which crate may name which.
//!
//! `journal` and `sequencer` move records and never name an order: that is what makes further services thin. The
//! reasons of each arrow are in `docs/decisions/0001-layers.md`. Engine crates take hardly anything from outside,
//! since all of it would become part of what a replay must repeat for ever.

use serde_json::Value;

use super::Finding;

/// A dependency of a workspace crate.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// The crate that names the other.
    pub from: String,
    /// Folder of `from`, relative to the root.
    pub folder: String,
    /// The crate named; `None` if `from` has no dependencies at all.
    pub to: Option<String>,
    /// Whether `to` is a crate of this workspace.
    pub inside: bool,
    /// Whether it is only for tests, examples and benchmarks.
    pub dev: bool,
}

/// What the crates of one folder may name.
struct Rule {
    folder: &'static str,
    may: &'static [&'static str],
    may_in_tests: &'static [&'static str],
}

const ENGINE: &[&str] = &["machine", "protocol", "orderbook", "wallet", "ledger", "exchange", "testkit"];
const CORE_TESTS: &[&str] = &["testkit", "exchange", "simulator", "protocol"];

/// In the order of the layers. A folder that ends in `/` stands for all crates below it.
const RULES: &[Rule] = &[
    Rule { folder: "engine/machine", may: &[], may_in_tests: ENGINE },
    Rule { folder: "engine/protocol", may: &["machine"], may_in_tests: ENGINE },
    Rule { folder: "engine/orderbook", may: &["machine", "protocol"], may_in_tests: ENGINE },
    Rule { folder: "engine/wallet", may: &["machine", "protocol"], may_in_tests: ENGINE },
    Rule { folder: "engine/ledger", may: &["machine", "protocol"], may_in_tests: ENGINE },
    Rule {
        folder: "engine/exchange",
        may: &["machine", "protocol", "orderbook", "wallet", "ledger"],
        may_in_tests: ENGINE,
    },
    Rule { folder: "journal", may: &["machine"], may_in_tests: CORE_TESTS },
    Rule { folder: "sequencer", may: &["machine", "journal"], may_in_tests: CORE_TESTS },
    Rule {
        folder: "gateway",
        may: &["machine", "protocol", "journal", "sequencer", "marketdata"],
        may_in_tests: &["testkit", "exchange", "simulator"],
    },
    Rule {
        folder: "marketdata",
        may: &["machine", "protocol", "journal", "sequencer"],
        may_in_tests: &["testkit", "exchange", "simulator", "orderbook"],
    },
    Rule { folder: "adapters/", may: &["machine"], may_in_tests: &["journal", "sequencer", "testkit"] },
    Rule {
        folder: "tools/simulator",
        may: &["machine", "protocol", "marketdata"],
        may_in_tests: &["testkit", "exchange"],
    },
    Rule { folder: "benches/yardstick", may: &["protocol", "orderbook", "pages"], may_in_tests: &[] },
    Rule { folder: "tools/pages", may: &[], may_in_tests: &[] },
    Rule { folder: "tools/testkit", may: &["machine", "protocol"], may_in_tests: &[] },
    Rule { folder: "tools/xtask", may: &[], may_in_tests: &[] },
];

/// Crates that join the layers: the binary, and the benchmarks.
const FREE: &[&str] = &["tools/rialto", "benches"];

/// What engine crates may take from outside the workspace.
const ENGINE_OUTSIDE: &[&str] = &["xxhash-rust", "zerocopy"];

/// Reads the arrows out of `cargo metadata --no-deps`.
pub fn arrows(metadata: &Value) -> Result<Vec<Arrow>, String> {
    let root = metadata["workspace_root"].as_str().ok_or("cargo metadata has no workspace_root")?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let mut arrows = Vec::new();
    for package in packages {
        let from = package["name"].as_str().ok_or("a package has no name")?;
        let manifest = package["manifest_path"].as_str().ok_or("a package has no manifest_path")?;
        let folder = manifest.strip_prefix(root).unwrap_or(manifest);
        let folder = folder.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned();
        let template = Arrow { from: from.to_owned(), folder, to: None, inside: true, dev: false };
        arrows.push(template.clone());
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().ok_or("a dependency has no name")?;
            let inside = dependency["path"].is_string();
            let dev = dependency["kind"] == "dev";
            arrows.push(Arrow { to: Some(to.to_owned()), inside, dev, ..template.clone() });
        }
    }
    Ok(arrows)
}

/// Names every arrow that no rule allows, and every crate without a rule.
pub fn check(arrows: &[Arrow]) -> Vec<Finding> {
    arrows.iter().filter_map(objection).collect()
}

fn objection(arrow: &Arrow) -> Option<Finding> {
    if FREE.contains(&arrow.folder.as_str()) {
        return None;
    }
    let Arrow { from, folder, .. } = arrow;
    let fits = |rule: &&Rule| match rule.folder.ends_with('/') {
        true => folder.starts_with(rule.folder),
        false => folder == rule.folder,
    };
    let Some(rule) = RULES.iter().find(fits) else {
        let message = format!(
            "crate `{from}` in {folder} has no layer: give it a rule in tools/xtask/src/tidy/layers.rs and a reason \
             in docs/decisions/0001-layers.md"
        );
        return arrow.to.is_none().then(|| Finding::new(format!("{folder}/Cargo.toml"), 0, message));
    };
    let to = arrow.to.as_deref()?;
    let message = if arrow.inside {
        if rule.may.contains(&to) || arrow.dev && rule.may_in_tests.contains(&to) {
            return None;
        }
        let allowed = if rule.may.is_empty() { "no other crate".to_owned() } else { rule.may.join(", ") };
        let tests = if rule.may_in_tests.is_empty() { "nothing more" } else { &rule.may_in_tests.join(", ") };
        let kind = if arrow.dev { " in its tests" } else { "" };
        format!(
            "`{from}` must not depend on `{to}`{kind}: {} may name {allowed}; its tests also {tests}",
            rule.folder
        )
    } else {
        if arrow.dev || !folder.starts_with("engine/") || ENGINE_OUTSIDE.contains(&to) {
            return None;
        }
        format!(
            "`{from}` must not depend on `{to}`: pure crates take only {} from outside",
            ENGINE_OUTSIDE.join(", ")
        )
    };
    Some(Finding::new(format!("{folder}/Cargo.toml"), 0, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(from: &str, folder: &str, to: &str, inside: bool, dev: bool) -> Vec<Finding> {
        let (from, folder) = (from.to_owned(), folder.to_owned());
        check(&[Arrow { from, folder, to: Some(to.to_owned()), inside, dev }])
    }

    #[test]
    fn an_arrow_against_the_layers_names_both_crates_and_the_rule() {
        let findings = judge("journal", "journal", "protocol", true, false);
        assert!(findings[0].message.contains("`journal` must not depend on `protocol`"), "{findings:?}");
        assert!(findings[0].message.contains("journal may name machine"), "{findings:?}");
        assert_eq!(judge("orderbook", "engine/orderbook", "wallet", true, false).len(), 1);
        assert_eq!(judge("gateway", "gateway", "exchange", true, false).len(), 1);
        assert_eq!(judge("echo", "adapters/echo", "journal", true, false).len(), 1);
        assert_eq!(judge("wallet", "engine/wallet", "simulator", true, true).len(), 1);
        assert!(judge("gateway", "gateway", "exchange", true, true).is_empty());
        assert!(judge("exchange", "engine/exchange", "ledger", true, false).is_empty());
        assert!(judge("rialto", "tools/rialto", "exchange", true, false).is_empty());
    }

    #[test]
    fn engine_crates_take_only_the_listed_crates_from_outside() {
        assert_eq!(judge("wallet", "engine/wallet", "rand", false, false).len(), 1);
        assert!(judge("wallet", "engine/wallet", "zerocopy", false, false).is_empty());
        assert!(judge("wallet", "engine/wallet", "proptest", false, true).is_empty());
        assert!(judge("journal", "journal", "libc", false, false).is_empty());
    }

    #[test]
    fn a_crate_without_a_layer_is_named_once() {
        let text = r#"{"workspace_root":"/r","packages":[{"name":"odd","manifest_path":"/r/odd/Cargo.toml",
            "dependencies":[{"name":"machine","path":"/r/engine/machine","kind":null}]}]}"#;
        let findings = check(&arrows(&serde_json::from_str(text).unwrap()).unwrap());
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("`odd` in odd has no layer"), "{findings:?}");
    }
}
