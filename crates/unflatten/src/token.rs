//! `unflatten token`: makes a token and the line that lets the service know it.

use std::process::ExitCode;

use api::{Token, TokenLimits};
use service::Failure;

use crate::arguments::TokenArguments;

/// Runs the command.
///
/// # Errors
/// When the name or a limit cannot be used.
pub(crate) fn token(arguments: &TokenArguments) -> Result<ExitCode, Failure> {
    let limits = arguments.limit.iter().try_fold(TokenLimits::default(), |limits, limit| limits.with(limit));
    let made = limits.and_then(|limits| Token::generate(&arguments.name, arguments.scopes, limits));
    let (token, secret) = made.map_err(|problem| Failure::BadUse(format!("the command {problem}")))?;
    println!("Token, which is shown only now:\n{secret}\n");
    println!("Line for the file of API_TOKENS_FILE, after which the service has to be restarted:\n{token}");
    if arguments.limit.is_empty() {
        println!("\nOr, without a file:\nAPI_TOKENS={}:{}:{secret}", token.name, token.scopes);
    }
    Ok(ExitCode::SUCCESS)
}
