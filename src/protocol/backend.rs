//! What a backend says.

use super::{
    frame::{HEADER, put_cstr, split_cstr, write},
    frontend::Format,
};

/// The kinds of backend messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Authentication,
    BackendKeyData,
    BindComplete,
    CloseComplete,
    CommandComplete,
    CopyBothResponse,
    CopyData,
    CopyDone,
    CopyInResponse,
    CopyOutResponse,
    DataRow,
    EmptyQueryResponse,
    ErrorResponse,
    FunctionCallResponse,
    NegotiateProtocolVersion,
    NoData,
    NoticeResponse,
    NotificationResponse,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    PortalSuspended,
    ReadyForQuery,
    RowDescription,
    Unknown,
}

impl Kind {
    #[inline]
    pub fn of(tag: u8) -> Self {
        match tag {
            b'D' => Self::DataRow,
            b'C' => Self::CommandComplete,
            b'Z' => Self::ReadyForQuery,
            b'T' => Self::RowDescription,
            b'1' => Self::ParseComplete,
            b'2' => Self::BindComplete,
            b'3' => Self::CloseComplete,
            b'A' => Self::NotificationResponse,
            b'c' => Self::CopyDone,
            b'd' => Self::CopyData,
            b'E' => Self::ErrorResponse,
            b'G' => Self::CopyInResponse,
            b'H' => Self::CopyOutResponse,
            b'I' => Self::EmptyQueryResponse,
            b'K' => Self::BackendKeyData,
            b'N' => Self::NoticeResponse,
            b'n' => Self::NoData,
            b'R' => Self::Authentication,
            b'S' => Self::ParameterStatus,
            b's' => Self::PortalSuspended,
            b't' => Self::ParameterDescription,
            b'V' => Self::FunctionCallResponse,
            b'v' => Self::NegotiateProtocolVersion,
            b'W' => Self::CopyBothResponse,
            _ => Self::Unknown,
        }
    }

    /// Whether a message of this kind may be longer than [`LONG`]. What is longer and of another
    /// kind is no message: libpq draws the same line, for fewer kinds.
    pub fn may_be_long(self) -> bool {
        match self {
            Self::CopyData
            | Self::DataRow
            | Self::ErrorResponse
            | Self::FunctionCallResponse
            | Self::NoticeResponse
            | Self::NotificationResponse
            | Self::ParameterDescription
            | Self::ParameterStatus
            | Self::RowDescription => true,
            Self::Authentication
            | Self::BackendKeyData
            | Self::BindComplete
            | Self::CloseComplete
            | Self::CommandComplete
            | Self::CopyBothResponse
            | Self::CopyDone
            | Self::CopyInResponse
            | Self::CopyOutResponse
            | Self::EmptyQueryResponse
            | Self::NegotiateProtocolVersion
            | Self::NoData
            | Self::ParseComplete
            | Self::PortalSuspended
            | Self::ReadyForQuery
            | Self::Unknown => false,
        }
    }
}

/// Bytes of a frame; what is longer holds data, names or texts.
pub const LONG: usize = 30_000;

/// What counts of a RowDescription's body when the server asks whether a statement still returns
/// the same: names and types, but not which table they are from. `None`: it is none.
pub fn row_shape(body: &[u8]) -> Option<Box<[u8]>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut shape = Vec::with_capacity(body.len());
    for _ in 0..u16::from_be_bytes(*count) {
        let (name, fields) = split_cstr(rest)?;
        let (_origin, fields) = fields.split_first_chunk::<6>()?;
        let (types, fields) = fields.split_first_chunk::<10>()?;
        let (_format, fields) = fields.split_first_chunk::<2>()?;
        put_cstr(&mut shape, name);
        shape.extend_from_slice(types);
        rest = fields;
    }
    Some(shape.into())
}

/// Appends a ParameterDescription with this body.
pub fn put_parameter_description(out: &mut Vec<u8>, body: &[u8]) {
    write(out, b't', |out| out.extend_from_slice(body));
}

/// The values of a DataRow's body; `None`: it is none.
pub fn row(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, after) = after.split_at_checked(length.unwrap_or(0))?;
        values.push(length.map(|_| value));
        rest = after;
    }
    rest.is_empty().then_some(values)
}

/// Where a ReadyForQuery says the backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Outside a transaction block.
    #[default]
    Idle,
    InTransaction,
    /// In a transaction block that failed.
    Failed,
}

impl Status {
    /// `None`: a byte that no server sends.
    pub fn of(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::InTransaction),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// The body of a ParameterStatus: name and value.
pub fn parameter_status(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = split_cstr(body)?;
    let (value, _) = split_cstr(rest)?;
    Some((name, value))
}

/// The body of a NotificationResponse: who notified, the channel, the payload.
pub fn notification(body: &[u8]) -> Option<(i32, &[u8], &[u8])> {
    let (pid, rest) = body.split_first_chunk::<4>()?;
    let (channel, rest) = split_cstr(rest)?;
    let (payload, _) = split_cstr(rest)?;
    Some((i32::from_be_bytes(*pid), channel, payload))
}

/// Appends a NotificationResponse.
pub fn put_notification(out: &mut Vec<u8>, pid: i32, channel: &[u8], payload: &[u8]) {
    write(out, b'A', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        put_cstr(out, channel);
        put_cstr(out, payload);
    });
}

/// What a backend asks for before it lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge<'a> {
    Ok,
    Cleartext,
    Md5 {
        salt: [u8; 4],
    },
    /// The names of the mechanisms, each zero-terminated.
    Sasl {
        mechanisms: &'a [u8],
    },
    SaslContinue {
        data: &'a [u8],
    },
    SaslFinal {
        data: &'a [u8],
    },
    /// Kerberos, GSS, SSPI and whatever comes after.
    Other(u32),
}

/// The body of an Authentication message; `None`: it is cut short.
pub fn challenge(body: &[u8]) -> Option<Challenge<'_>> {
    let (code, rest) = body.split_first_chunk::<4>()?;
    Some(match u32::from_be_bytes(*code) {
        0 => Challenge::Ok,
        3 => Challenge::Cleartext,
        5 => Challenge::Md5 {
            salt: *rest.first_chunk::<4>()?,
        },
        10 => Challenge::Sasl { mechanisms: rest },
        11 => Challenge::SaslContinue { data: rest },
        12 => Challenge::SaslFinal { data: rest },
        other => Challenge::Other(other),
    })
}

/// The body of a BackendKeyData: process id, and the secret key (4 bytes before protocol 3.2).
pub fn key_data(body: &[u8]) -> Option<(i32, &[u8])> {
    let (pid, key) = body.split_first_chunk::<4>()?;
    let may_be = super::startup::KEY_LENGTHS.contains(&key.len());
    may_be.then_some((i32::from_be_bytes(*pid), key))
}

/// The body of a NegotiateProtocolVersion: the version that the backend will speak, major part
/// in the upper half, and how many of our options it does not know.
pub fn negotiated(body: &[u8]) -> Option<(u32, u32)> {
    let (version, rest) = body.split_first_chunk::<4>()?;
    let count = rest.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*version), u32::from_be_bytes(*count)))
}

/// A ParseComplete, whole.
pub const PARSE_COMPLETE: &[u8] = &[b'1', 0, 0, 0, 4];
/// A BindComplete, whole.
pub const BIND_COMPLETE: &[u8] = &[b'2', 0, 0, 0, 4];
/// A CloseComplete, whole.
pub const CLOSE_COMPLETE: &[u8] = &[b'3', 0, 0, 0, 4];
/// A NoData, whole.
pub const NO_DATA: &[u8] = &[b'n', 0, 0, 0, 4];
/// A PortalSuspended, whole.
pub const PORTAL_SUSPENDED: &[u8] = &[b's', 0, 0, 0, 4];
/// An EmptyQueryResponse, whole.
pub const EMPTY_QUERY_RESPONSE: &[u8] = &[b'I', 0, 0, 0, 4];

/// A column of an answer of our own.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    pub name: &'a str,
    /// The type's OID in `pg_type`.
    pub oid: u32,
    /// Bytes of a value; -1: it varies.
    pub size: i16,
    pub format: Format,
}

/// Appends a RowDescription.
pub fn put_row_description(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    write(out, b'T', |out| {
        put_count(out, fields.len());
        for field in fields {
            put_cstr(out, field.name.as_bytes());
            // No table, no column of one.
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(&field.oid.to_be_bytes());
            out.extend_from_slice(&field.size.to_be_bytes());
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            let format: u16 = match field.format {
                Format::Text => 0,
                Format::Binary => 1,
            };
            out.extend_from_slice(&format.to_be_bytes());
        }
    });
}

/// Appends a DataRow; `None` is NULL.
pub fn put_data_row<'a>(out: &mut Vec<u8>, values: &[Option<std::borrow::Cow<'a, [u8]>>]) {
    write(out, b'D', |out| {
        put_count(out, values.len());
        for value in values {
            let length = value.as_ref().map(|value| i32::try_from(value.len()));
            let length = length.map_or(-1, |length| length.unwrap_or(i32::MAX));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value.as_deref().unwrap_or_default());
        }
    });
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_be_bytes());
}

/// Appends AuthenticationOk.
pub fn put_authentication_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]);
}

/// Whether a reported setting says what a server is, not what a session wants.
pub fn is_backends_own(name: &[u8]) -> bool {
    let own: [&[u8]; 3] = [b"in_hot_standby", b"server_version", b"server_encoding"];
    own.contains(&name)
}

/// Appends a request for an md5 password.
pub fn put_md5_request(out: &mut Vec<u8>, salt: [u8; 4]) {
    put_authentication(out, 5, &salt);
}

/// Appends the offer of these SASL mechanisms.
pub fn put_sasl(out: &mut Vec<u8>, mechanisms: &[&str]) {
    let mut names = Vec::new();
    for name in mechanisms {
        put_cstr(&mut names, name.as_bytes());
    }
    names.push(0);
    put_authentication(out, 10, &names);
}

/// Appends a SASL challenge.
pub fn put_sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    put_authentication(out, 11, data);
}

/// Appends the end of a SASL exchange.
pub fn put_sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    put_authentication(out, 12, data);
}

fn put_authentication(out: &mut Vec<u8>, code: u32, data: &[u8]) {
    write(out, b'R', |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// Appends a ParameterStatus.
pub fn put_parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    write(out, b'S', |out| {
        put_cstr(out, name);
        put_cstr(out, value);
    });
}

/// Appends a BackendKeyData.
pub fn put_key_data(out: &mut Vec<u8>, pid: i32, key: &[u8]) {
    write(out, b'K', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(key);
    });
}

/// Appends a ReadyForQuery.
pub fn put_ready(out: &mut Vec<u8>, status: Status) {
    out.extend_from_slice(&[b'Z', 0, 0, 0, 5, status.byte()]);
}

/// Whether a CommandComplete's tag is that of a command after which texts may mean something else.
#[inline]
pub fn changes_schema(tag: &[u8]) -> bool {
    let begins = |word: &[u8]| tag.starts_with(word);
    matches!(tag.first(), Some(b'A' | b'C' | b'D'))
        && (begins(b"ALTER ") || begins(b"CREATE ") || begins(b"DROP "))
}

/// The tag in a CommandComplete's body.
pub fn tag(body: &[u8]) -> &[u8] {
    split_cstr(body).map_or(body, |(tag, _)| tag)
}

/// Appends a CommandComplete.
pub fn put_command_complete(out: &mut Vec<u8>, tag: &str) {
    write(out, b'C', |out| put_cstr(out, tag.as_bytes()));
}

/// Appends a NegotiateProtocolVersion: the version that we speak with this client, and its
/// `_pq_.` options that we do not know. The version goes out whole, as servers send it, though
/// the documentation speaks of its minor part.
pub fn put_negotiate_version(out: &mut Vec<u8>, version: u32, unknown: &[Vec<u8>]) {
    write(out, b'v', |out| {
        out.extend_from_slice(&version.to_be_bytes());
        let count = u32::try_from(unknown.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for option in unknown {
            put_cstr(out, option);
        }
    });
}

/// A frame's body.
pub fn body(frame: &[u8]) -> &[u8] {
    frame.get(HEADER..).unwrap_or_default()
}
