import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Time, chance and the outside come from a daemon's Runtime (common/runtime/runtime.ts), so that a simulation can own them. */
const outside = [
  { selector: "MemberExpression[object.name='Date'][property.name='now']", message: 'Use runtime.clock.now().' },
  { selector: "NewExpression[callee.name='Date']", message: 'Use runtime.clock.now() and common/time.ts.' },
  { selector: "MemberExpression[object.name='Math'][property.name='random']", message: 'Use runtime.random.' },
  { selector: "MemberExpression[object.name='process'][property.name='env']", message: 'Use flags.' },
  { selector: "MemberExpression[object.name='performance'][property.name='now']", message: 'Use runtime.clock.now().' },
];
const outsideImports = [
  { name: 'node:child_process', message: 'Use runtime.exec.' },
  { name: 'node:fs', message: 'Use runtime.files.' },
  { name: 'node:fs/promises', message: 'Use runtime.files.' },
  { name: 'node:timers', message: 'Use runtime.sleep or runtime.after.' },
  { name: 'node:timers/promises', message: 'Use runtime.sleep.' },
  {
    name: 'node:crypto',
    importNames: ['randomBytes', 'randomInt', 'randomUUID', 'randomFillSync', 'generateKeyPair', 'webcrypto'],
    message: 'Use runtime.random.',
  },
];
const timers = ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'].map((name) => ({
  name,
  message: 'Use runtime.sleep or runtime.after.',
}));

/** A daemon's folder imports from common/ and from itself, never from another daemon's folder. */
const daemons = [
  'nova-api',
  'nova-compute',
  'nova-network',
  'nova-objectstore',
  'nova-volume',
  'nova-scheduler',
  'nova-manage',
];
const rooms = daemons.map((room) => ({
  files: [`${room}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        paths: outsideImports,
        patterns: [
          {
            group: [...daemons, 'nova-all'].filter((other) => other !== room).map((other) => `**/${other}/**`),
            message: 'A daemon imports from common/ and itself.',
          },
        ],
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'state/**', '.build/**', 'test/recordings/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    files: ['**/*.{js,mjs,cjs}'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          'AbortSignal',
          'URL',
          '__dirname',
          'clearTimeout',
          'console',
          'fetch',
          'module',
          'process',
          'require',
          'setTimeout',
        ].map((name) => [name, 'readonly']),
      ),
    },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-function-return-type': [
        'error',
        { allowExpressions: true, allowTypedFunctionExpressions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    files: ['common/**/*.ts', 'nova-*/**/*.ts', 'simulate/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', ...outside],
      'no-restricted-imports': ['error', { paths: outsideImports }],
      'no-restricted-globals': ['error', ...timers],
    },
  },
  ...rooms,
  {
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-expressions': 'off' },
  },
);
