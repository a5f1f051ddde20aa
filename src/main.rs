//! The binary: configuration, logging, signals; then the app.

use std::process::ExitCode;
use std::process::exit;

use rustix::fs::Mode;
use tidegate::app;
use tidegate::app::Unprotected;
use tidegate::cli;
use tidegate::config;
use tidegate::config::Config;
use tidegate::config::Invocation;
use tidegate::http;
use tidegate::http::tls::Unusable;
use tidegate::segments::Foreign;
use tidegate::store::OpenError;
use tidegate::tasks::Tasks;
use tidegate::telemetry;
use tokio::runtime::Builder;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// Many small allocations of short life on many threads: what the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit status of a start that was refused, as for a command line that does not parse.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    // What is written is this user's alone, wherever it is written.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let outcome = match config::from_command_line() {
        Invocation::Serve(config) => return serve(*config),
        Invocation::PrintConfig(text) => cli::output::print(&text).map_err(Into::into),
        Invocation::Health(place) => cli::health::health(place),
        Invocation::OpenApi => cli::openapi().and_then(|document| Ok(cli::output::print(&document)?)),
        Invocation::Completions(shell) => cli::output::print_as_it_is(&config::completions(shell)),
        Invocation::Doctor(options) => client(async { cli::doctor::run(*options, told_to_stop()).await }),
        Invocation::Bench(options) => client(async { cli::bench::run(*options, told_to_stop()).await }),
        Invocation::Backup(options) => client(async { cli::backup::run(options, told_to_stop()).await }),
        Invocation::Topics(gateway, action) => client(cli::topics::run(gateway, action)),
        Invocation::Produce(options) => client(async { cli::produce::run(*options, told_to_stop()).await }),
        Invocation::Groups(gateway, action) => client(cli::groups::run(gateway, action)),
        Invocation::Keys(command) => client(cli::keys::run(*command)),
        Invocation::Consume(options) => client(async { cli::consume::run(*options, told_to_stop()).await }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::say(&format!("{error:#}"));
            ExitCode::from(cli::exit::status(&error))
        }
    }
}

/// Runs a command that speaks to a gateway.
fn client(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background(); // a write that nobody reads must not hold up the end
    outcome
}

#[tokio::main]
async fn serve(config: Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.telemetry) {
        eprintln!("tidegate: {error}");
        return ExitCode::from(REFUSED);
    }
    let listener = match http::server::bind(config.listen) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("tidegate: cannot listen on {}: {error}", config.listen);
            return ExitCode::from(REFUSED);
        }
    };
    let stop = told_to_stop(); // before anybody can know that we run
    match app::run(config, listener, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            let refused =
                error.is::<OpenError>() || error.is::<Unprotected>() || error.is::<Unusable>() || error.is::<Foreign>();
            if refused { ExitCode::from(REFUSED) } else { ExitCode::FAILURE }
        }
    }
}

/// Listens for SIGINT and SIGTERM from now on; the future ends at the first. The second ends the process at once.
fn told_to_stop() -> impl Future<Output = ()> {
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened for");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
    async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Tasks::default().spawn("second signal", async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            exit(cli::exit::INTERRUPTED.into()) // with requests under way;
        });
    }
}
