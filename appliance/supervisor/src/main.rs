//! `freehold-supervisor`: parse, run, exit code (0 yes, 1 no, 2 could not tell).

use std::process::ExitCode;

use clap::Parser;
use freehold_supervisor::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    freehold_channel::install_provider();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,tss_esapi=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime does not start: {error}");
            return ExitCode::from(2);
        }
    };
    let result = match arguments.command {
        Command::Run(settings) => runtime.block_on(freehold_supervisor::run(*settings)),
        Command::Once(settings) => runtime.block_on(freehold_supervisor::once(*settings)),
        Command::Forget { state, request } => {
            freehold_supervisor::forget(&state, &request).map_err(|error| freehold_supervisor::Fault::State {
                path: state,
                detail: error.to_string(),
            })
        }
        Command::Healthy(check) => Ok(freehold_supervisor::healthy(&check)),
        Command::ReadRoot(read) => match freehold_supervisor::read_root(&read) {
            Ok(_) => Ok(true),
            Err(error) => Err(freehold_supervisor::Fault::of(
                "box.root_read",
                format!("`{}`: {error}", read.device.display()),
            )),
        },
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            eprintln!("error: {}: {fault}", fault.code());
            if let Some(explanation) = freehold_explain::explain(fault.code()) {
                eprintln!("hint: {}", explanation.next);
            }
            ExitCode::from(2)
        }
    }
}
