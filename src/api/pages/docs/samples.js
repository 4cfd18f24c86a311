// A call as code: curl, JavaScript, Python, Rust. Credentials are never in the code: it reads them from the
// environment. Knows nothing of elements, so that it runs without a browser.

/**
 * A call: `method` in upper case, `url`, `headers` as pairs, `credential` as `{ header, scheme, variable }` or null,
 * and `body` as `{ mediaType, text, fields }` or null: `fields` are the pairs of a form, otherwise `text` is sent.
 */

const isJson = (body) => /json/.test(body?.mediaType ?? '');

/** The value of a JSON text, or undefined. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A word of a POSIX shell. */
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl({ method, url, headers, credential, body }) {
  const lines = [method === 'GET' ? `curl ${shell(url)}` : `curl -X ${method} ${shell(url)}`];
  if (credential?.scheme === 'Basic') lines.push(`-u "key:$${credential.variable}"`);
  else if (credential) {
    lines.push(`-H "${credential.header}: ${credential.scheme ? `${credential.scheme} ` : ''}$${credential.variable}"`);
  }
  headers.forEach(([name, value]) => lines.push(`-H ${shell(`${name}: ${value}`)}`));
  if (body?.fields) {
    const option = body.mediaType.startsWith('multipart/') ? '--form-string' : '--data-urlencode';
    body.fields.forEach(([name, value]) => lines.push(`${option} ${shell(`${name}=${value}`)}`));
  } else if (body) {
    lines.push(`-H ${shell(`content-type: ${body.mediaType}`)}`, `--data-raw ${shell(body.text)}`);
  }
  return lines.join(' \\\n  ');
}

/** Text that JavaScript and Python read as this string. JSON is both, but for two line separators. */
const quoted = (text) => JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');

const indented = (text, by) => text.replaceAll('\n', `\n${' '.repeat(by)}`);

export function javascript({ method, url, headers, credential, body }) {
  const fields = headers.map(([name, value]) => `${quoted(name)}: ${quoted(value)}`);
  if (credential?.scheme === 'Basic') {
    fields.push(`${quoted(credential.header)}: \`Basic \${btoa(\`key:\${process.env.${credential.variable}}\`)}\``);
  } else if (credential) {
    const scheme = credential.scheme ? `${credential.scheme} ` : '';
    fields.push(`${quoted(credential.header)}: \`${scheme}\${process.env.${credential.variable}}\``);
  }
  if (body && !body.fields) fields.push(`"content-type": ${quoted(body.mediaType)}`);
  const options = [];
  if (method !== 'GET') options.push(`method: ${quoted(method)}`);
  if (fields.length) options.push(`headers: { ${fields.join(', ')} }`);
  if (body?.fields?.length && body.mediaType.startsWith('multipart/')) {
    options.push('body: form');
  } else if (body?.fields) {
    const pairs = body.fields.map(([name, value]) => `[${quoted(name)}, ${quoted(value)}]`);
    options.push(`body: new URLSearchParams([${pairs.join(', ')}])`);
  } else if (body) {
    const value = isJson(body) ? parsed(body.text) : undefined;
    const text = value === undefined ? quoted(body.text) : `JSON.stringify(${indented(quotedValue(value), 2)})`;
    options.push(`body: ${text}`);
  }
  const append = ([name, value]) => `form.append(${quoted(name)}, ${quoted(value)});\n`;
  const form = options.includes('body: form')
    ? `const form = new FormData();\n${body.fields.map(append).join('')}` : '';
  const given = options.length ? `, {\n  ${options.join(',\n  ')},\n}` : '';
  const print = 'console.log(response.status, await response.text());';
  return `${form}const response = await fetch(${quoted(url)}${given});\n${print}`;
}

const quotedValue = (value) => JSON.stringify(value, null, 2).replaceAll('\u2028', '\\u2028')
  .replaceAll('\u2029', '\\u2029');

/** A value of JSON as Python writes it. */
function pythonValue(value, depth = 0) {
  const here = ' '.repeat(4 * depth);
  const inner = `${here}    `;
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return String(value);
  const items = Array.isArray(value) ? value.map((each) => pythonValue(each, depth + 1))
    : Object.entries(value).map(([name, each]) => `${quoted(name)}: ${pythonValue(each, depth + 1)}`);
  const [begin, end] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  return items.length ? `${begin}\n${items.map((item) => `${inner}${item},\n`).join('')}${here}${end}`
    : `${begin}${end}`;
}

export function python({ method, url, headers, credential, body }) {
  const fields = headers.map(([name, value]) => `${quoted(name)}: ${quoted(value)}`);
  const options = [];
  if (credential?.scheme === 'Basic') {
    options.push(`auth=("key", os.environ["${credential.variable}"])`);
  } else if (credential) {
    const secret = `os.environ["${credential.variable}"]`;
    fields.push(`${quoted(credential.header)}: ${credential.scheme ? `"${credential.scheme} " + ` : ''}${secret}`);
  }
  const value = isJson(body) ? parsed(body.text) : undefined;
  if (body?.fields) {
    const part = (text) => (body.mediaType.startsWith('multipart/') ? `(None, ${text})` : text);
    const pairs = body.fields.map(([name, text]) => `(${quoted(name)}, ${part(quoted(text))})`);
    options.push(`${body.mediaType.startsWith('multipart/') ? 'files' : 'data'}=[${pairs.join(', ')}]`);
  } else if (value !== undefined) {
    options.push(`json=${indented(pythonValue(value), 4)}`);
  } else if (body) {
    fields.push(`"content-type": ${quoted(body.mediaType)}`);
    options.push(`data=${quoted(body.text)}.encode()`);
  }
  if (fields.length) options.unshift(`headers={${fields.join(', ')}}`);
  const given = [quoted(method), quoted(url), ...options].map((option) => `    ${option},\n`).join('');
  return `${credential ? 'import os\n\n' : ''}import requests\n\nresponse = requests.request(\n${given})\n`
    + 'print(response.status_code, response.text)';
}

/** A string literal of Rust: raw, with as many # as the text needs, unless it has a lone carriage return. */
function rustText(text) {
  if (!/["\\\n]/.test(text) && !text.includes('\r')) return `"${text}"`;
  if (text.includes('\r')) {
    const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
    return `"${escaped.replaceAll('\r', '\\r').replaceAll('\n', '\\n')}"`;
  }
  const longest = Math.max(0, ...[...text.matchAll(/"(#*)/g)].map(([, hashes]) => hashes.length + 1));
  const hashes = '#'.repeat(Math.max(1, longest));
  return `r${hashes}"${text}"${hashes}`;
}

export function rust({ method, url, headers, credential, body }) {
  const lines = headers.map(([name, value]) => `.header(${rustText(name)}, ${rustText(value)})`);
  const secret = credential && `std::env::var("${credential.variable}")?`;
  if (credential?.scheme === 'Basic') lines.unshift(`.basic_auth("key", Some(${secret}))`);
  else if (credential?.scheme === 'Bearer' && credential.header === 'authorization') {
    lines.unshift(`.bearer_auth(${secret})`);
  }
  else if (credential) lines.unshift(`.header(${rustText(credential.header)}, ${secret})`);
  let form = '';
  if (body?.fields && body.mediaType.startsWith('multipart/')) {
    const parts = body.fields.map(([name, value]) => `.text(${rustText(name)}, ${rustText(value)})`);
    form = `    let form = reqwest::multipart::Form::new()${parts.join('')};\n`;
    lines.push('.multipart(form)');
  } else if (body?.fields) {
    const pairs = body.fields.map(([name, value]) => `(${rustText(name)}, ${rustText(value)})`);
    lines.push(`.form(&[${pairs.join(', ')}])`);
  } else if (body) {
    lines.push(`.header("content-type", ${rustText(body.mediaType)})`, `.body(${rustText(body.text)})`);
  }
  const call = [`.request(reqwest::Method::${method}, ${rustText(url)})`, ...lines, '.send()', '.await?;'];
  return `#[tokio::main]\nasync fn main() -> Result<(), Box<dyn std::error::Error>> {\n${form}`
    + `    let response = reqwest::Client::new()\n${call.map((line) => `        ${line}\n`).join('')}`
    + '    println!("{} {}", response.status(), response.text().await?);\n    Ok(())\n}';
}

/** The languages, each with the function that writes a call in it. */
export const LANGUAGES = [['curl', curl], ['JavaScript', javascript], ['Python', python], ['Rust', rust]];
