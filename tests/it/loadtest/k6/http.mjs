// k6/http: blocking requests and their metrics.

import { demand, emit, state } from './state.mjs';
import { send } from './wire.mjs';

const PARAMS = ['headers', 'tags', 'timeout', 'redirects', 'responseType', 'responseCallback', 'cookies', 'jar', 'auth', 'compression'];
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** The name of a header field in Go's canonical form: `x-request-id` becomes `X-Request-Id`. */
const canonical = (name) => name.toLowerCase().replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());

function encodeForm(body) {
  return Object.entries(body)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&');
}

function request(method, url, body = null, params = {}) {
  demand(false, 'http');
  if (!METHODS.includes(method) || typeof url !== 'string') throw new TypeError(`${method} ${url} is not a request`);
  for (const name of Object.keys(params || {})) if (!PARAMS.includes(name)) throw new TypeError(`no such parameter: ${name}`);
  const { headers = {}, tags = {} } = params || {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') throw new TypeError(`header field ${name} is ${value}`);
  }
  const form = body !== null && typeof body === 'object';
  if (body !== null && !form && typeof body !== 'string') throw new TypeError(`a body of ${typeof body}`);
  const response = send({
    method,
    url,
    headers: {
      'User-Agent': state.options.userAgent,
      ...(form ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {}),
      ...headers,
    },
    body: form ? encodeForm(body) : body,
  });
  const failed = response.status < 200 || response.status >= 400;
  const allTags = { method, url, name: url, ...tags, status: response.status, expected_response: !failed };
  emit('http_reqs', 1, allTags);
  emit('http_req_duration', response.duration, allTags);
  emit('http_req_failed', failed, allTags);
  const headerEntries = Object.entries(response.headers).map(([name, value]) => [canonical(name), value]);
  return {
    status: response.status,
    // Without a response, the body is null.
    body: response.status === 0 ? null : response.body,
    headers: Object.fromEntries(headerEntries),
    error: response.error,
    error_code: response.error ? 1000 : 0,
    timings: { duration: response.duration },
    url,
  };
}

export default {
  request,
  get: (url, params) => request('GET', url, null, params),
  post: (url, body, params) => request('POST', url, body, params),
};
