import js from '@eslint/js';

// The core uses only what every runtime has. A Node-only API in src is an error here.
const everywhere = [
  'AbortController', 'DOMException', 'Headers', 'Response', 'TextDecoder', 'TextEncoder', 'URL',
  'atob', 'btoa', 'clearTimeout', 'console', 'crypto', 'fetch', 'performance', 'queueMicrotask', 'setTimeout',
];
const inNode = ['Buffer', 'Request', 'URLSearchParams', 'process', 'setImmediate'];
const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: readonly(everywhere) },
    rules: {
      eqeqeq: 'error',
      'max-len': ['error', 120],
      'no-var': 'error',
      'prefer-const': 'error',
      'object-shorthand': 'error',
    },
  },
  { files: ['src/**'], rules: { 'no-restricted-imports': ['error', { patterns: ['node:*'] }] } },
  {
    files: ['bench/**', 'examples/**', 'test/**'],
    languageOptions: { globals: readonly(inNode), ecmaVersion: 'latest' },
  },
];
