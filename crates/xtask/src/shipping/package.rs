//! `cargo xtask package`: a Debian package and a tar archive of the programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::bases::output;
use super::unit::PROGRAMS;
use super::{elf, images, stage, trial};
use crate::install::{InstallOptions, install_shipping_programs};
use crate::run::{cargo, run, target};

#[derive(Args)]
pub(crate) struct PackageArguments {
    #[command(flatten)]
    install: InstallOptions,
    /// Build the programs in a container with Debian 12, which needs root, instead of on this machine
    #[arg(long)]
    container: bool,
    /// Pack the programs in this folder instead of building them
    #[arg(long, conflicts_with = "container")]
    programs: Option<PathBuf>,
    /// Install the package in a new Debian, run its services, remove and purge it; needs root
    #[arg(long)]
    test: bool,
}

/// Builds of the programs, in the order and the groups of the Dockerfiles.
const BUILDS: [&[&str]; 2] = [&["--package", "api", "--bin", "unflatten-api"], &["--package", "unflatten", "--bins"]];

pub(crate) fn package(arguments: &PackageArguments) -> anyhow::Result<()> {
    if arguments.container || arguments.test {
        install_shipping_programs(arguments.install)?;
    }
    let folder = target().join("package");
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let programs = match &arguments.programs {
        Some(programs) => programs.clone(),
        None if arguments.container => {
            let programs = folder.join("programs");
            images::programs(&programs)?;
            programs
        }
        None => {
            for build in BUILDS {
                run(&cargo(), [&["build", "--release", "--locked"], build].concat())?;
            }
            target().join("release")
        }
    };
    let depends = elf::dependencies(&PROGRAMS.map(|program| programs.join(program)))?;
    let build = stage::Build::of_checkout()?;
    let tree = folder.join("tree");
    stage::fill(&tree, &programs, &build)?;
    let archive = stage::pack_tar(&tree, &folder, &build)?;
    let package = stage::pack_deb(&tree, &folder, &depends, &build)?;
    write_sums(&folder, &[&archive, &package])?;
    if arguments.test {
        trial::check_units(&folder)?;
        trial::try_package(&folder, &package)?;
    }
    Ok(())
}

/// SHA-256 sums of what is handed out, as `sha256sum --check` reads them.
fn write_sums(folder: &Path, files: &[&Path]) -> anyhow::Result<()> {
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = output(Command::new("sha256sum").args(names).current_dir(folder))?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    print!("{}:\n{sums}", folder.display());
    Ok(())
}
