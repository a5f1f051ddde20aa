//! `--print-config`: what the gateway would run with, as a file of environment variables that can be used as one. What is
//! a default is a comment; what is secret is not shown.

use std::fmt::Write;

use clap::Arg;
use clap::ArgMatches;
use clap::Command;
use clap::parser::ValueSource;

/// Renders the values of `command`'s flags as they were given and completed. A flag whose environment is not shown in the
/// help is a secret.
pub(super) fn render(command: &Command, matches: &ArgMatches) -> String {
    let mut out = format!("# tidegate {}: what it runs with. Defaults are comments.\n", env!("CARGO_PKG_VERSION"));
    for argument in command.get_arguments() {
        let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else { continue };
        let is_default = matches.value_source(argument.get_id().as_str()) == Some(ValueSource::DefaultValue);
        match value(argument, matches) {
            None => writeln!(out, "#{variable}="),
            Some(_) if argument.is_hide_env_values_set() => writeln!(out, "#{variable}=(set, and not shown)"),
            Some(value) if is_default => writeln!(out, "#{variable}={value}"),
            Some(value) => writeln!(out, "{variable}={value}"),
        }
        .expect("writing to a string");
    }
    out
}

/// A flag's values, joined as its variable would take them; `None` if it has none.
fn value(argument: &Arg, matches: &ArgMatches) -> Option<String> {
    let raw = matches.try_get_raw(argument.get_id().as_str()).ok()??;
    let values: Vec<_> = raw.map(|value| value.to_string_lossy()).collect();
    (!values.is_empty()).then(|| values.join(","))
}
