//! The words of a line of a conversation.

/// A word, a text or a list of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Text(Vec<u8>),
    /// `None` is NULL.
    List(Vec<Option<Vec<u8>>>),
}

/// Splits a line.
///
/// # Errors
/// What is wrong with it, in words.
pub fn tokens(line: &str) -> Result<Vec<Token>, String> {
    let mut reader = Reader {
        rest: line.as_bytes(),
    };
    let mut tokens = Vec::new();
    while reader.skip_blanks() {
        tokens.push(reader.token()?);
    }
    Ok(tokens)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Whether there is more, up to a comment.
    fn skip_blanks(&mut self) -> bool {
        self.rest = self.rest.trim_ascii_start();
        !self.rest.is_empty() && self.rest[0] != b'#'
    }

    fn token(&mut self) -> Result<Token, String> {
        match self.rest[0] {
            b'[' => self.list(),
            _ if self.is_text() => Ok(Token::Text(self.text()?)),
            _ => Ok(Token::Word(self.word())),
        }
    }

    fn is_text(&self) -> bool {
        self.rest[0] == b'"' || self.rest.starts_with(b"x\"")
    }

    fn word(&mut self) -> String {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || *byte == b']';
        let len = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        String::from_utf8_lossy(word).into_owned()
    }

    fn list(&mut self) -> Result<Token, String> {
        self.rest = &self.rest[1..];
        let mut values = Vec::new();
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.first() {
                None => return Err("a list without its end".to_owned()),
                Some(b']') => break,
                Some(_) if self.is_text() => values.push(Some(self.text()?)),
                Some(_) => match self.word().as_str() {
                    "null" => values.push(None),
                    word => values.push(Some(word.as_bytes().to_owned())),
                },
            }
        }
        self.rest = &self.rest[1..];
        Ok(Token::List(values))
    }

    /// Texts joined by `+`.
    fn text(&mut self) -> Result<Vec<u8>, String> {
        let mut text = self.repeated()?;
        while self.rest.first() == Some(&b'+') {
            self.rest = &self.rest[1..];
            text.extend(self.repeated()?);
        }
        Ok(text)
    }

    /// A text, and `*` with how often it stands there.
    fn repeated(&mut self) -> Result<Vec<u8>, String> {
        let hex = self.rest.first() == Some(&b'x');
        self.rest = &self.rest[usize::from(hex)..];
        let quoted = self.quoted()?;
        let text = if hex { unhex(&quoted)? } else { quoted };
        if self.rest.first() != Some(&b'*') {
            return Ok(text);
        }
        self.rest = &self.rest[1..];
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit());
        let (count, rest) = self.rest.split_at(digits.count());
        self.rest = rest;
        let count = String::from_utf8_lossy(count);
        let count = count.parse().map_err(|_| "no number after *".to_owned())?;
        Ok(text.repeat(count))
    }

    fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let Some((b'"', mut rest)) = self.rest.split_first() else {
            return Err("a text begins with \"".to_owned());
        };
        let mut text = Vec::new();
        loop {
            let (byte, after) = rest.split_first().ok_or("a text without its end")?;
            rest = after;
            match byte {
                b'"' => break,
                b'\\' => {
                    let (escaped, after) = rest.split_first().ok_or("a text without its end")?;
                    rest = after;
                    text.push(match escaped {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'0' => 0,
                        other => *other,
                    });
                }
                other => text.push(*other),
            }
        }
        self.rest = rest;
        Ok(text)
    }
}

fn unhex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = digits
        .iter()
        .copied()
        .filter(|byte| *byte != b' ')
        .collect();
    let byte = |pair: &[u8]| {
        let pair = String::from_utf8_lossy(pair);
        u8::from_str_radix(&pair, 16).map_err(|_| format!("{pair} is no byte"))
    };
    digits.chunks(2).map(byte).collect()
}

#[test]
fn texts_words_and_lists_are_told_apart() {
    let line = r#"Bind "" s ["a\n" null 7 x"00 ff"] in b # why"#;
    let list = [
        Some(b"a\n".to_vec()),
        None,
        Some(b"7".to_vec()),
        Some(vec![0, 255]),
    ];
    let word = |word: &str| Token::Word(word.to_owned());
    assert_eq!(
        tokens(line).unwrap(),
        [
            word("Bind"),
            Token::Text(Vec::new()),
            word("s"),
            Token::List(list.to_vec()),
            word("in"),
            word("b")
        ]
    );
    let joined = tokens(r#""a"+"b"*3+"c""#).unwrap();
    assert_eq!(joined, [Token::Text(b"abbbc".to_vec())]);
    assert!(tokens(r#"Query "open"#).is_err());
}
