//! A function fits on a screen, and a file can be read in one sitting: 70 and 700 lines, tests included.
//!
//! Rows of a table (an array of literals, tuples, structs or calls) do not count: splitting a table helps nobody.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::tree::Tree;

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 700;

/// Measures every Rust and Python file and script, and every Rust function.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let Some(text) = &file.text else { continue };
        let script = file.path.ends_with(".py") || text.starts_with("#!");
        if file.path.ends_with(".rs") {
            findings.extend(functions(&file.path, text));
        } else if !script {
            continue;
        }
        let lines = text.lines().count();
        if lines > FILE_LINES {
            let message =
                format!("has {lines} lines, more than {FILE_LINES}: split it along what it speaks of");
            findings.push(Finding::new(&file.path, 0, message));
        }
    }
    findings
}

fn functions(path: &str, text: &str) -> Vec<Finding> {
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(error) => {
            return vec![Finding::new(path, error.span().start().line, format!("is not Rust: {error}"))];
        }
    };
    let mut measure = Measure { path, findings: Vec::new() };
    measure.visit_file(&file);
    measure.findings
}

struct Measure<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl Measure<'_> {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let last = block.brace_token.span.close().end().line;
        let mut tables = Tables { rows: 0 };
        tables.visit_block(block);
        let lines = (last + 1 - first).saturating_sub(tables.rows);
        if lines > FUNCTION_LINES {
            let message = format!(
                "`{}` has {lines} lines, more than {FUNCTION_LINES}: name its parts and move them out",
                signature.ident
            );
            self.findings.push(Finding::new(self.path, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Measure<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Counts the lines between the brackets of tables.
struct Tables {
    rows: usize,
}

impl<'ast> Visit<'ast> for Tables {
    fn visit_expr_array(&mut self, array: &'ast syn::ExprArray) {
        if array.elems.iter().all(is_data) {
            let span = &array.bracket_token.span;
            self.rows += (span.close().start().line - span.open().start().line).saturating_sub(1);
        } else {
            visit::visit_expr_array(self, array);
        }
    }
}

/// Whether an expression is a row of a table: no block, closure, branch or operator.
fn is_data(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Lit(_) | syn::Expr::Path(_) => true,
        syn::Expr::Unary(it) => is_data(&it.expr),
        syn::Expr::Reference(it) => is_data(&it.expr),
        syn::Expr::Tuple(it) => it.elems.iter().all(is_data),
        syn::Expr::Array(it) => it.elems.iter().all(is_data),
        syn::Expr::Call(it) => is_data(&it.func) && it.args.iter().all(is_data),
        syn::Expr::Struct(it) => it.fields.iter().all(|field| is_data(&field.expr)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(body: &str, lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", body.repeat(lines))
    }

    fn findings(path: &str, text: &str) -> Vec<Finding> {
        check(&Tree::of(&[(path, text)]))
    }

    #[test]
    fn a_function_of_71_lines_is_too_long_wherever_it_stands() {
        assert!(findings("a.rs", &function_of("g();\n", 68)).is_empty());
        let long = function_of("g();\n", 69);
        assert!(findings("a.rs", &long)[0].message.contains("`f` has 71 lines"));
        assert_eq!(findings("a.rs", &format!("#[cfg(test)] mod tests {{\n{long}}}")).len(), 1);
        assert_eq!(findings("a.rs", &format!("impl X {{\n{long}}}")).len(), 1);
        assert_eq!(findings("a.rs", &format!("trait X {{\n{long}}}")).len(), 1);
    }

    #[test]
    fn rows_of_a_table_do_not_count_but_code_in_brackets_does() {
        let table = format!("fn f() {{\nlet rows = [\n{}];\n}}\n", "(1, \"a\", X::new(2)),\n".repeat(100));
        assert!(findings("a.rs", &table).is_empty());
        let code = format!("fn f() {{\nlet rows = [\n{}];\n}}\n", "{ g(); 1 },\n".repeat(100));
        assert_eq!(findings("a.rs", &code).len(), 1);
    }

    #[test]
    fn a_file_of_701_lines_is_too_long_in_rust_and_python() {
        assert!(findings("a.rs", &"//\n".repeat(700)).is_empty());
        assert_eq!(findings("a.rs", &"//\n".repeat(701)).len(), 1);
        assert_eq!(findings("a.py", &"#\n".repeat(701)).len(), 1);
        assert_eq!(findings("run", &format!("#!/bin/bash\n{}", "#\n".repeat(700))).len(), 1);
        assert!(findings("a.md", &"#\n".repeat(701)).is_empty());
        assert!(findings("a.rs", "fn (")[0].message.contains("is not Rust"));
    }
}
