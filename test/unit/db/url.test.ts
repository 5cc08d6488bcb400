import { expect } from 'chai';
import { parseDatabaseUrl } from '../../../common/db/url.js';
import { StartupError } from '../../../common/errors.js';

describe('URLs of the flag sql_connection', () => {
  const cases: readonly [string, object][] = [
    ['sqlite:///nova.sqlite', { dialect: 'sqlite', database: 'nova.sqlite' }],
    ['sqlite:////var/lib/nova/nova.sqlite', { dialect: 'sqlite', database: '/var/lib/nova/nova.sqlite' }],
    ['sqlite://', { dialect: 'sqlite', database: ':memory:' }],
    ['sqlite:///:memory:', { dialect: 'sqlite', database: ':memory:' }],
    [
      'postgresql://nova:secret@db.example.org/nova',
      { dialect: 'postgresql', host: 'db.example.org', port: undefined, user: 'nova', password: 'secret' },
    ],
    ['postgres://nova@db:5433/nova', { dialect: 'postgresql', port: 5433, password: undefined, database: 'nova' }],
    ['postgresql+psycopg2://n:a%40b+c%2Fd@h/x', { user: 'n', password: 'a@b c/d', host: 'h' }],
    ['postgresql://n:100%@h/x', { password: '100%' }],
    ['mysql://n:p@ss:w@h/x', { user: 'n', password: 'p@ss:w', host: 'h' }],
    ['mysql://n:pa/ss@h/x', { user: 'n', password: 'pa/ss', host: 'h', database: 'x' }],
    ['postgresql://n:%C3%A9@h/x', { password: 'é' }],
    ['postgresql://n:p@/x?host=/var/run/postgresql', { socket: '/var/run/postgresql', host: 'localhost' }],
    ['postgresql://n:p@[::1]:5432/x', { host: '::1', port: 5432 }],
    ['mysql://root:nova@127.0.0.1/nova?charset=utf8', { dialect: 'mysql', database: 'nova', password: 'nova' }],
    ['mysql+mysqldb://u:@h/nova', { dialect: 'mysql', password: '' }],
    ['mysql://u:p@localhost/nova?unix_socket=/run/mysqld/mysqld.sock', { socket: '/run/mysqld/mysqld.sock' }],
  ];
  for (const [url, parts] of cases) {
    it(`understands ${url}`, () => {
      expect(parseDatabaseUrl(url)).to.include(parts);
    });
  }

  it('never shows the password', () => {
    expect(parseDatabaseUrl('mysql://nova:secret@h/nova').shown).to.equal('mysql://nova:***@h/nova');
    for (const url of ['oracle://n:secret@h/nova', 'n:secret@h', 'mysql://n:secret@h:port/x', 'mysql://n:secret@h']) {
      expect(() => parseDatabaseUrl(url), url)
        .to.throw(StartupError)
        .with.property('message')
        .that.matches(/--sql_connection/)
        .and.not.matches(/secret/);
    }
  });

  it('tells what a relative SQLite path with two slashes lacks', () => {
    expect(() => parseDatabaseUrl('sqlite://nova.sqlite')).to.throw(StartupError, /three slashes/);
  });
});
