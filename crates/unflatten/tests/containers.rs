//! The container files set only variables that exist and start only programs that are built; the units of the package wait
//! as long as programs may need.

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn known() -> BTreeSet<&'static str> {
    let tables = [service::VARIABLES, jobs::VARIABLES, api::VARIABLES, worker::VARIABLES, vertex::VARIABLES];
    tables.into_iter().flatten().map(|variable| variable.name).collect()
}

fn is_variable(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn compose_sets_variables_that_exist() {
    let text = read("compose.yaml") + &read("compose.gpu.yaml");
    // Build arguments, not settings of the programs.
    let arguments = ["BASE", "FEATURES"];
    let set: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .filter(|name| is_variable(name) && !arguments.contains(name))
        .collect();
    assert!(["REDIS_HOST", "SHUTDOWN_GRACE_S", "MODEL_CACHE_DIR"].iter().all(|name| set.contains(name)), "{set:?}");
    let unknown: Vec<_> = set.difference(&known()).copied().collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn manifests_set_variables_that_exist() {
    let mut set = BTreeSet::new();
    for file in ["config.yaml", "api.yaml", "worker.yaml"] {
        let text = read(&format!("k8s/{file}"));
        let names = text.lines().filter_map(|line| {
            let line = line.trim();
            // `NAME: value` of a map, `- {name: NAME, value: ...}` of a list.
            let listed = line.strip_prefix("- {name: ").and_then(|rest| rest.split_once(','));
            listed.or_else(|| line.split_once(':')).map(|(name, _)| name.trim().to_owned())
        });
        set.extend(names.filter(|name| is_variable(name)));
    }
    assert!(set.contains("REDIS_URL") && set.contains("SHUTDOWN_GRACE_S") && set.contains("STORAGE_URL"), "{set:?}");
    let unknown: Vec<_> = set.iter().filter(|name| !known().contains(name.as_str())).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

#[test]
fn the_scaler_counts_what_the_queue_keeps() {
    // The name is part of the wire protocol, which crates/jobs/README.md describes.
    assert!(read("k8s/scaler.yaml").contains("listName: \"{unflatten}:active\""));
    assert!(
        read("../crates/jobs/README.md").contains("| `active` | hash | job to upload, of all jobs that wait or run |")
    );
}

#[test]
fn the_worker_on_a_gpu_is_the_worker_with_features_that_there_are() {
    let gpu = read("compose.gpu.yaml");
    let default = |name: &str| {
        let rest = gpu.split_once(&format!("{name}: ${{WORKER_{name}:-")).expect("a default").1;
        rest.split_once('}').expect("its end").0
    };
    let manifest = read("../crates/worker/Cargo.toml");
    assert!(manifest.contains(&format!("\n{} = [", default("FEATURES"))), "{}", default("FEATURES"));
    // Its head names the same ones.
    let head = read("worker.Dockerfile");
    assert!(["BASE", "FEATURES"].iter().all(|name| head.contains(&format!("{name}={}", default(name)))));
    // The same CUDA on Vertex AI, whose container has the cloud's clients too.
    let vertex = read("vertex.Dockerfile");
    assert!(vertex.contains(&format!("ARG BASE={}\n", default("BASE"))));
    assert!(vertex.contains(&format!("ARG FEATURES=\"cloud,{}\"\n", default("FEATURES"))));
    let services = |text: &str| -> Vec<String> {
        let within = text.split_once("\nservices:\n").expect("services").1;
        let names = within.lines().take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
        names.filter_map(|line| Some(line.strip_prefix("  ")?.strip_suffix(':')?.to_owned())).collect()
    };
    assert!(services(&read("compose.yaml")).contains(&"worker".to_owned()));
    assert!(services(&gpu).contains(&"worker".to_owned()), "{:?}", services(&gpu));
}

#[test]
fn compose_waits_longer_than_the_grace_period() {
    let text = read("compose.yaml");
    let wait = text.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: ")).expect("it is set");
    let wait: u64 = wait.trim_end_matches('s').parse().expect("seconds");
    let grace = worker::VARIABLES.iter().find(|v| v.name == "SHUTDOWN_GRACE_S").expect("it is a setting");
    assert!(wait > grace.default.parse().expect("seconds"));
}

#[test]
fn units_wait_longer_than_programs_take_to_end() {
    let text = read("../crates/xtask/packaging/unflatten-worker.service");
    let wait =
        text.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')).expect("it is set");
    let wait: u64 = wait.parse().expect("seconds");
    let config = worker::Config::from_settings(&service::Settings::from_pairs([])).expect("the defaults");
    assert!(wait > config.shutdown_limit().as_secs() + 10, "the API ends after the worker");
}

#[test]
fn images_run_our_programs_as_a_user_without_rights() {
    for (file, program, arguments) in [
        ("api.Dockerfile", "unflatten-api", ""),
        ("worker.Dockerfile", "unflatten-worker", ""),
        ("vertex.Dockerfile", "unflatten-worker", ", \"--vertex\""),
    ] {
        let text = read(file);
        assert!(text.contains(&format!("--bin {program} ")) || text.contains(&format!("--bin {program}\n")), "{file}");
        assert!(text.contains(&format!("ENTRYPOINT [\"{program}\"{arguments}]")), "{file}");
        let user = text.lines().filter_map(|line| line.strip_prefix("USER ")).next_back();
        assert_eq!(user, Some("10001"), "{file}");
    }
}
