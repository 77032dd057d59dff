module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/*.test.js'],
  moduleNameMapper: { '^@/lib/cache$': '<rootDir>/lib/cache.js' },
  // Bound against hanging.
  testTimeout: 20_000,
}
