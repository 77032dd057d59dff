// The app's one door to Redis: everything that is cached goes through `@/lib/cache`. Server code only.
export * from 'holdfast'
