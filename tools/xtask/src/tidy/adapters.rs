//! The folders below `adapters/` are all alike: who knows one knows where to look in every other.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;

const TEMPLATE: &str = "echo";

/// Compares the file names of each adapter with the template's.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for file in &tree.files {
        if let Some((name, _)) = file.path.strip_prefix("adapters/").and_then(|rest| rest.split_once('/')) {
            names.insert(name);
        }
    }
    if !names.contains(TEMPLATE) {
        return vec![Finding::new("adapters", 0, format!("the template adapters/{TEMPLATE} is gone"))];
    }
    let template = files_below(tree, TEMPLATE);
    names.iter().flat_map(|name| differences(tree, name, &template)).collect()
}

fn files_below<'a>(tree: &'a Tree, name: &str) -> BTreeSet<&'a str> {
    let prefix = format!("adapters/{name}/");
    tree.files.iter().filter_map(|file| file.path.strip_prefix(&prefix)).collect()
}

fn differences(tree: &Tree, name: &str, template: &BTreeSet<&str>) -> Vec<Finding> {
    let own = files_below(tree, name);
    let missing = template.difference(&own).map(|path| (path, "is missing: the template has it"));
    let extra =
        own.difference(template).map(|path| (path, "is not in the template: add it there and everywhere"));
    let finding = |(path, what): (&&str, &str)| Finding::new(format!("adapters/{name}/{path}"), 0, what);
    missing.chain(extra).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_of_another_shape_is_named_file_by_file() {
        let tree = Tree::of(&[
            ("adapters/echo/src/lib.rs", ""),
            ("adapters/echo/README.md", ""),
            ("adapters/odd/src/lib.rs", ""),
            ("adapters/odd/src/more.rs", ""),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["adapters/odd/README.md", "adapters/odd/src/more.rs"]);
        assert_eq!(check(&Tree::of(&[("adapters/odd/src/lib.rs", "")])).len(), 1);
    }
}
