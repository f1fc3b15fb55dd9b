//! The environment variables of the API.

use service::Variable;

/// The environment variables of the API.
pub const VARIABLES: &[Variable] = &[
    HOST,
    PORT,
    ALLOWED_HOSTS,
    BASE_PATH,
    MAX_CONNECTIONS,
    HEADER_TIMEOUT_S,
    IDLE_TIMEOUT_S,
    TRANSFER_TIMEOUT_S,
    MAX_FILE_SIZE,
    EXPORT_MEMORY_LIMIT,
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
