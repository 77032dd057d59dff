// The document around every page: fonts, styles, colours of the browser's own parts.

import type { Metadata, Viewport } from 'next'
import { GeistMono } from 'geist/font/mono'
import { GeistSans } from 'geist/font/sans'
import type { ReactNode } from 'react'

import './styles/base.css'
import './styles/page.css'
import './styles/turn.css'
import './styles/markdown.css'
import './styles/composer.css'
import './styles/people.css'

export const metadata: Metadata = {
  title: 'Holdfast chat',
  description: 'A chat whose answers are cached in Redis, and in memory while Redis is away.',
}

export const viewport: Viewport = {
  width: 'device-width',
  initialScale: 1,
  colorScheme: 'light dark',
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#fbfaf8' },
    { media: '(prefers-color-scheme: dark)', color: '#14171a' },
  ],
}

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" className={`${GeistSans.variable} ${GeistMono.variable}`}>
      <body>{children}</body>
    </html>
  )
}
