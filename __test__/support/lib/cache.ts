// What an app's own `@/lib/cache` is: the package under the app's name for it.

export * from 'holdfast'
