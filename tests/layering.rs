//! Dependencies point one way. This reads the `crate::` paths of every source file and fails on an
//! arrow that runs back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up; a module may name those before it and itself.
const ORDER: [&[&str]; 7] = [
    &["base"],
    &["codec", "config"],
    &["backend"],
    &["resilience"],
    &["managers"],
    &["engine"],
    &["node"],
];

fn level(module: &str) -> Option<usize> {
    ORDER.iter().position(|names| names.contains(&module))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Arrows that run back in one file's text.
fn backward(module: &str, text: &str) -> Vec<String> {
    let own = level(module).unwrap_or_else(|| panic!("{module} has no place in the order"));
    text.split("crate::")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .filter(|name| {
            level(name).is_some_and(|other| other > own || (other == own && *name != module))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_module_names_one_that_stands_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    assert!(found.len() > 20);
    for path in found {
        let inside = path.strip_prefix(&source).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let wrong = backward(module, &fs::read_to_string(&path).unwrap());
        assert!(wrong.is_empty(), "{} names {wrong:?}", inside.display());
    }
}

#[test]
fn an_arrow_that_runs_back_is_seen() {
    assert_eq!(backward("base", "use crate::backend::Call;"), ["backend"]);
    assert_eq!(backward("codec", "fn f() { crate::config::x() }"), ["config"]);
    assert!(
        backward("managers", "use crate::backend::Call; use crate::managers::cache;").is_empty()
    );
}

#[test]
fn only_the_binding_names_napi() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    for path in found.iter().filter(|path| !path.starts_with(source.join("node"))) {
        assert!(!fs::read_to_string(path).unwrap().contains("napi::"), "{}", path.display());
    }
}
