//! Every crate says what it is and takes the workspace's lints.

use serde_json::Value;

use super::Finding;
use super::tree::Tree;

/// Reads each member's manifest.
pub fn check(tree: &Tree, metadata: &Value) -> Result<Vec<Finding>, String> {
    let root = metadata["workspace_root"].as_str().ok_or("cargo metadata has no workspace_root")?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let path = package["manifest_path"].as_str().ok_or("a package has no manifest_path")?;
        let path = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let text = tree.text(path).unwrap_or_default();
        findings.extend(objections(path, text));
    }
    Ok(findings)
}

fn objections(path: &str, manifest: &str) -> Vec<Finding> {
    let Ok(manifest) = manifest.parse::<toml::Table>() else {
        return vec![Finding::new(path, 0, "is not TOML")];
    };
    let field = |table: &str, key: &str| manifest.get(table).and_then(|table| table.get(key));
    let mut findings = Vec::new();
    let description = field("package", "description").and_then(toml::Value::as_str);
    if description.is_none_or(|text| text.trim().is_empty()) {
        findings.push(Finding::new(path, 0, "has no description: say in one line what the crate is"));
    }
    if field("lints", "workspace").and_then(toml::Value::as_bool) != Some(true) {
        findings.push(Finding::new(
            path,
            0,
            "does not take the workspace's lints: add `[lints] workspace = true`",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_description_or_lints_is_named() {
        assert_eq!(objections("Cargo.toml", "[package]\nname = \"x\"\ndescription = \" \"\n").len(), 2);
        let good = "[package]\ndescription = \"What it is\"\n[lints]\nworkspace = true\n";
        assert!(objections("Cargo.toml", good).is_empty());
        assert_eq!(objections("Cargo.toml", "[package").len(), 1);
    }
}
