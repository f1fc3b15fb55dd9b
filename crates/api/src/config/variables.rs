//! The environment variables of the API.

use service::Variable;

/// The environment variables of the API.
pub const VARIABLES: &[Variable] = &[
    HOST,
    PORT,
    API_TOKENS,
    API_TOKENS_FILE,
    ALLOW_ANONYMOUS,
    JOBS_VISIBLE_TO,
    SIGNING_SECRET,
    RATE_LIMIT,
    UPLOADS_PER_CLIENT,
    STORED_PER_CLIENT,
    PUBLIC_URL,
    ALLOWED_HOSTS,
    BASE_PATH,
    MAX_CONNECTIONS,
    HEADER_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    TRANSFER_TIMEOUT_S,
    MAX_FILE_SIZE,
    EXPORT_MEMORY_LIMIT,
    MAX_KEEP_HOURS,
    CORS_ORIGINS,
    DOWNLOAD_REDIRECT,
    HIGHEST_PRIORITY,
    CLIENT_KEY_HEADER,
    WEBHOOK_SECRET,
    WEBHOOK_ALLOW_PRIVATE,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_RETRY_S,
    OPENAI_WAIT_S,
    OPENAI_MODEL_ALIASES,
];

pub(crate) const HOST: Variable = Variable {
    name: "HOST",
    default: "127.0.0.1",
    about: "Address to listen on; 0.0.0.0 lets other machines in (containers need it)",
};
pub(crate) const PORT: Variable = Variable { name: "PORT", default: "8000", about: "Port of the page and the API" };
pub(crate) const API_TOKENS: Variable = Variable {
    name: "API_TOKENS",
    default: "",
    about: "Tokens that requests need, separated by commas, each NAME:SCOPES:TOKEN such as alice:read+submit+edit:unf_...; \
            scopes are read, submit, edit and admin; see docs/security.md",
};
pub(crate) const API_TOKENS_FILE: Variable = Variable {
    name: "API_TOKENS_FILE",
    default: "",
    about: "File with a line for each token, which holds its hash and limits of its own; unflatten token prints it",
};
pub(crate) const ALLOW_ANONYMOUS: Variable = Variable {
    name: "ALLOW_ANONYMOUS",
    default: "false",
    about: "true starts the service without tokens although HOST lets other machines in; no effect with tokens",
};
pub(crate) const JOBS_VISIBLE_TO: Variable = Variable {
    name: "JOBS_VISIBLE_TO",
    default: "owner",
    about: "Tokens that see a job, its files and its edits: owner (the one that made it) or all; admin sees all jobs",
};
pub(crate) const SIGNING_SECRET: Variable = Variable {
    name: "SIGNING_SECRET",
    default: "",
    about: "Secret of 32 or more characters that signs sessions and shared links; several APIs need the same; empty: a \
            random one, with which sessions and links end at a restart",
};
pub(crate) const RATE_LIMIT: Variable = Variable {
    name: "RATE_LIMIT",
    default: "",
    about: "Requests that a client (a token, or an address) may send per minute to one API process; empty: any number",
};
pub(crate) const UPLOADS_PER_CLIENT: Variable = Variable {
    name: "UPLOADS_PER_CLIENT",
    default: "",
    about: "Uploads that a client may have in the storage; empty: any number",
};
pub(crate) const STORED_PER_CLIENT: Variable = Variable {
    name: "STORED_PER_CLIENT",
    default: "",
    about: "Bytes that the uploads and results of a client may take in the storage, such as 5GB; empty: any number",
};
pub(crate) const PUBLIC_URL: Variable = Variable {
    name: "PUBLIC_URL",
    default: "",
    about: "Address under which people reach the service, such as https://poster.example/layers: a host of ALLOWED_HOSTS, \
            the BASE_PATH, and the start of shared links",
};
pub(crate) const ALLOWED_HOSTS: Variable = Variable {
    name: "ALLOWED_HOSTS",
    default: "",
    about: "Host names that the service answers to, separated by commas, such as poster.example or *.example; \
            localhost and IP addresses always work; empty: any name, or no other if HOST is 127.0.0.1 or ::1; *: \
            any name",
};
pub(crate) const BASE_PATH: Variable = Variable {
    name: "BASE_PATH",
    default: "",
    about: "Path under which a proxy shows the service, such as /layers; links begin with it, and requests may; a \
            proxy can send it as X-Forwarded-Prefix instead",
};
pub(crate) const MAX_CONNECTIONS: Variable = Variable {
    name: "MAX_CONNECTIONS",
    default: "auto",
    about: "Maximum number of connections; beyond it, a new one replaces an idle one; auto: follows the limit of \
            open files, at most 10000",
};
pub(crate) const HEADER_TIMEOUT_S: Variable = Variable {
    name: "HEADER_TIMEOUT_S",
    default: "15",
    about: "Seconds within which the headers of a request must arrive",
};
pub(crate) const IDLE_TIMEOUT_S: Variable = Variable {
    name: "IDLE_TIMEOUT_S",
    default: "75",
    about: "Seconds that a connection may stay idle between requests; set it higher than the idle timeout of a \
            proxy in front",
};
pub(crate) const TRANSFER_TIMEOUT_S: Variable = Variable {
    name: "TRANSFER_TIMEOUT_S",
    default: "60",
    about: "Seconds that a client may fall behind 1 KiB/s while it sends a body or receives a response",
};
pub(crate) const MAX_FILE_SIZE: Variable = Variable {
    name: "MAX_FILE_SIZE",
    default: "50MB",
    about: "Largest upload: bytes, or with KB, MB, GB (or KiB, MiB, GiB)",
};
pub(crate) const EXPORT_MEMORY_LIMIT: Variable = Variable {
    name: "EXPORT_MEMORY_LIMIT",
    default: "1GiB",
    about: "Memory that concurrent exports share (PSD, ORA, edited pictures): bytes, or with KB, MB, GB, KiB, MiB, \
            GiB",
};
pub(crate) const MAX_KEEP_HOURS: Variable = Variable {
    name: "MAX_KEEP_HOURS",
    default: "720",
    about: "For how many hours from now people may keep a result beyond CLEANUP_AFTER_HOURS; 0 for none",
};
pub(crate) const CORS_ORIGINS: Variable = Variable {
    name: "CORS_ORIGINS",
    default: "",
    about: "Other web origins that may use the API, separated by commas; empty for none",
};
pub(crate) const DOWNLOAD_REDIRECT: Variable = Variable {
    name: "DOWNLOAD_REDIRECT",
    default: "false",
    about: "true redirects clients that fetch one file to a signed URL of the bucket, valid for 15 minutes",
};
pub(crate) const HIGHEST_PRIORITY: Variable = Variable {
    name: "HIGHEST_PRIORITY",
    default: "normal",
    about: "Highest priority that a request may ask for: high, normal or low; jobs of higher priority always run \
            first",
};
pub(crate) const CLIENT_KEY_HEADER: Variable = Variable {
    name: "CLIENT_KEY_HEADER",
    default: "",
    about: "Header, set by your proxy, that identifies clients for fair sharing; empty: the address of the \
            connection",
};
pub(crate) const WEBHOOK_SECRET: Variable = Variable {
    name: "WEBHOOK_SECRET",
    default: "",
    about: "Key that signs webhooks: whsec_ and 24 to 64 random bytes in base64, several with commas; empty: \
            webhooks are off",
};
pub(crate) const WEBHOOK_ALLOW_PRIVATE: Variable = Variable {
    name: "WEBHOOK_ALLOW_PRIVATE",
    default: "false",
    about: "true allows webhooks to this machine, to private networks and over plain http://",
};
pub(crate) const WEBHOOK_ATTEMPTS: Variable =
    Variable { name: "WEBHOOK_ATTEMPTS", default: "8", about: "Maximum number of attempts to deliver a webhook" };
pub(crate) const WEBHOOK_RETRY_S: Variable = Variable {
    name: "WEBHOOK_RETRY_S",
    default: "5",
    about: "Seconds before the first retry of a webhook; each further wait is four times as long, at most 6 hours",
};
pub(crate) const OPENAI_WAIT_S: Variable = Variable {
    name: "OPENAI_WAIT_S",
    default: "600",
    about: "Seconds that POST /v1/images/edits waits for its layers before it cancels the job",
};
pub(crate) const OPENAI_MODEL_ALIASES: Variable = Variable {
    name: "OPENAI_MODEL_ALIASES",
    default: "gpt-image-1,gpt-image-1-mini,gpt-image-1.5,gpt-image-2,chatgpt-image-latest,dall-e-2,\
              Qwen/Qwen-Image-Layered=qwen",
    about: "Names that POST /v1/images/edits takes as its model beside unflatten and the engines, separated by commas; \
            name=engine chooses an engine (auto, qwen, draft or vertex)",
};
