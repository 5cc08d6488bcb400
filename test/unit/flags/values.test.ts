import { expect } from 'chai';
import { StartupError } from '../../../common/errors.js';
import { shownCommandLine } from '../../../common/flags/commandLine.js';
import { dumpFlags } from '../../../common/flags/dump.js';
import { flagDefinitions } from '../../../common/flags/flags.js';
import { fullHelp } from '../../../common/flags/help.js';
import { flagsFrom } from '../../../common/flags/values.js';
import { choose, registered } from '../../../common/registry.js';

describe('flag values', () => {
  it('replaces names of other flags in texts and lists', () => {
    const flags = flagsFrom({ my_ip: '10.1.2.3', state_path: '/s', sqlite_db: 'n$$.db' });
    expect(flags.ec2_host).to.equal('10.1.2.3');
    expect(flags.glance_api_servers).to.deep.equal(['10.1.2.3:9292']);
    expect(flags.sql_connection).to.equal('sqlite:////s/n$.db');
  });

  it('are masked in what a process list may show, however they were given', () => {
    const words = ['node', '--rabbit_password=s3cret', '--rabbit-password', 's3cret', '--verbose', '--host=cloud1'];
    const database = '--sql_connection=postgresql://nova:s3cret@db/nova';
    expect(shownCommandLine([...words, database, 'positional'])).to.deep.equal([
      'node',
      '--rabbit_password=***',
      '--rabbit-password',
      '***',
      '--verbose',
      '--host=cloud1',
      '--sql_connection=postgresql://***@db/nova',
      'positional',
    ]);
  });

  it('refuses unknown names and circles, without showing a secret', () => {
    expect(() => flagsFrom({ ec2_host: '$nowhere' })).to.throw(StartupError, /--ec2_host: \$nowhere/);
    expect(() => flagsFrom({ ec2_host: '$s3_host', s3_host: '$ec2_host' })).to.throw(StartupError, /refers to itself/);
    expect(() => flagsFrom({ rabbit_password: 'a$hunter2' }))
      .to.throw(StartupError)
      .with.property('message')
      .not.contain('hunter2');
  });

  it('dumps every flag without secrets', () => {
    const flags = flagsFrom({ rabbit_password: 'hunter2', sql_connection: 'mysql://u:hunter2@db/nova', host: 'h' });
    const lines = dumpFlags(flags);
    expect(lines).to.have.length(Object.keys(flagDefinitions).length);
    expect(lines).to.include.members([
      'host : h',
      'rabbit_password : ***',
      'sql_connection : mysql://***@db/nova',
      'verbose : False',
    ]);
    expect(lines.join()).not.to.contain('hunter2');
  });

  it('describes every flag in the help', () => {
    const help = fullHelp({ binary: 'nova-x', summary: 'Does x.' });
    for (const [name, flag] of Object.entries(flagDefinitions)) {
      expect(help).to.contain(`${flag.kind === 'boolean' ? '--[no]' : '--'}${name}: ${flag.help}`);
    }
  });
});

describe('dotted names', () => {
  it('stand for our names', () => {
    expect(registered('scheduler_driver', 'nova.scheduler.simple.SimpleScheduler')).to.equal('simple');
  });

  it('are refused with those which work', () => {
    const known = /--connection_type=libvirt: .* the value which works is fake/;
    expect(() => registered('connection_type', 'libvirt')).to.throw(StartupError, known);
    expect(() => registered('connection_type', 'constructor')).to.throw(StartupError);
  });

  it('may be the path of a plug-in', async () => {
    const flags = flagsFrom({ volume_driver: './test/unit/flags/nothing.js' });
    const failure = await choose(flags, 'volume_driver', { fake: () => 1 }).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(StartupError);
    expect(await choose(flagsFrom({ connection_type: 'fake' }), 'connection_type', { fake: () => 7 })).to.equal(7);
  });
});
