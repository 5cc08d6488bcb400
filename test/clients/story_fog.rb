# The life of an instance, and all that it uses, through fog-aws: its models where it has them, as Chef's knife and
# Vagrant used it, else its requests.
#
# Environment: EC2_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with). Prints what story.py
# says.
require 'base64'
require 'fog/aws'

$stdout.sync = true
NAME = ENV.fetch('STORY')
KEY, IMPORTED, GROUP, CALLERS = %w[key imported group callers].map { |word| "#{NAME}-#{word}" }
PUBLIC_KEY = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDe0xQWhfqMHefYIViQzJ0NpsDHk7uUGpsDG708qNP6jTMsyPj6Jm/yxnnXnM4ljMwC' \
             'Y/xyEC1pRnbppslawGdLtGemaMJNxOPCUPsEGy5PojGetPa2aKiISYky4/wljKcdalz76ftcllOAYWOK5EYoeQPBUPu7OiHegFYjKFOT7' \
             'Q== test@example.com'.freeze
DEADLINE = 60

def step(what)
  puts "step: #{what}"
end

def check(holds, what)
  raise "not so: #{what.inspect}" unless holds
end

def wait(what, *wanted)
  give_up = Process.clock_gettime(Process::CLOCK_MONOTONIC) + DEADLINE
  until wanted.include?(state = yield)
    raise "#{what} is #{state.inspect}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > give_up

    sleep 0.2
  end
end

# fog writes code and message into one text.
def refused(wanted)
  yield
rescue Fog::AWS::Compute::Error, Fog::AWS::Compute::NotFound => e
  code, message = e.message.split(' => ', 2)
  raise "#{code} instead of #{wanted}: #{message}" unless code == wanted

  puts "refused: #{code}: #{message}"
else
  raise "#{wanted} was expected"
end

def connect(secret)
  Fog::AWS::Compute.new(
    aws_access_key_id: ENV.fetch('EC2_ACCESS_KEY'),
    aws_secret_access_key: secret,
    region: 'nova',
    endpoint: ENV.fetch('EC2_URL')
  )
end

ec2 = connect(ENV.fetch('EC2_SECRET_KEY'))
project = ENV.fetch('EC2_ACCESS_KEY').split(':')[1]
puts "client: fog-aws #{Fog::AWS::VERSION} (Ruby #{RUBY_VERSION[/^\d+\.\d+/]})"

zones = ec2.describe_availability_zones.body['availabilityZoneInfo']
check zones.map { |zone| [zone['zoneName'], zone['zoneState']] } == [%w[nova available]], zones
step 'zones'
regions = ec2.describe_regions.body['regionInfo']
check regions.map { |region| region['regionName'] } == ['nova'], regions
step 'regions'

image = ec2.images.all.select { |one| one.type == 'machine' && one.is_public }.min_by(&:id)
check image.state == 'available', image
check ec2.images.get(image.id).id == image.id, image.id
check ec2.images.all('owner-id' => image.owner_id).map(&:id).include?(image.id), image.owner_id
permissions = ec2.describe_image_attribute(image.id, 'launchPermission').body
check permissions['launchPermission'].to_s.include?('all'), permissions
step 'images'

key = ec2.key_pairs.create(name: KEY)
check key.private_key.include?('BEGIN RSA PRIVATE KEY') && key.fingerprint.size == 47, key.fingerprint
refused('KeyPairExists') { ec2.create_key_pair(KEY) }
check ec2.key_pairs.get(KEY).fingerprint == key.fingerprint, KEY
step 'key pairs'
check ec2.key_pairs.create(name: IMPORTED, public_key: PUBLIC_KEY).fingerprint.size == 47, IMPORTED
check ec2.key_pairs.get(IMPORTED).name == IMPORTED, IMPORTED
step 'key import'

group = ec2.security_groups.create(name: GROUP, description: 'for a test')
ec2.security_groups.create(name: CALLERS, description: 'for a test')
refused('ApiError') { ec2.create_security_group(GROUP, 'again') }
group.authorize_port_range(22..22)
group.authorize_port_range(-1..-1, ip_protocol: 'icmp', cidr_ip: '10.0.0.0/8')
callers = [{ 'IpProtocol' => 'tcp', 'FromPort' => 80, 'ToPort' => 81,
             'Groups' => [{ 'GroupName' => CALLERS, 'UserId' => project }] }]
ec2.authorize_security_group_ingress(GROUP, 'IpPermissions' => callers)
rules = lambda do
  ec2.security_groups.get(GROUP).ip_permissions.map do |rule|
    from = rule['ipRanges'].map { |range| range['cidrIp'] } + rule['groups'].map { |source| source['groupName'] }
    [rule['ipProtocol'], rule['fromPort'], rule['toPort'], from]
  end
end
check rules.call.sort_by(&:to_s) == [
  ['icmp', -1, -1, ['10.0.0.0/8']], ['tcp', 22, 22, ['0.0.0.0/0']], ['tcp', 80, 81, [CALLERS]]
], rules.call
group.revoke_port_range(-1..-1, ip_protocol: 'icmp', cidr_ip: '10.0.0.0/8')
ec2.revoke_security_group_ingress(GROUP, 'IpPermissions' => callers)
check rules.call == [['tcp', 22, 22, ['0.0.0.0/0']]], rules.call
check ([GROUP, CALLERS, 'default'] - ec2.security_groups.all.map(&:name)).empty?, 'groups'
step 'security groups'

refused('ImageNotFound') { ec2.run_instances('ami-00ffff00', 1, 1) }
refused('KeypairNotFound') { ec2.run_instances(image.id, 1, 1, 'KeyName' => "#{NAME}-no-key") }
server = ec2.servers.create(
  image_id: image.id,
  flavor_id: 'm1.tiny',
  key_name: KEY,
  groups: [GROUP],
  user_data: 'hello from fog',
  availability_zone: 'nova',
  tags: { 'story' => NAME }
)
server.wait_for(DEADLINE, 0.2) { ready? }
check server.private_ip_address && server.key_name == KEY && server.flavor_id == 'm1.tiny', server
check server.groups == [GROUP] && server.availability_zone == 'nova', server.groups
step 'run instances'
check ec2.servers.all.map(&:id).include?(server.id), server.id
check ec2.servers.get(server.id).state == 'running', server.id
step 'describe instances'
console = server.console_output.body['output']
check console.include?('CONSOLE'), console
step 'console output'
check ec2.describe_instance_attribute(server.id, 'instanceType').body['instanceType'] == 'm1.tiny', 'instanceType'
step 'instance attributes'
check ec2.monitor_instances([server.id]).status == 200 && ec2.unmonitor_instances([server.id]).status == 200, 'monitoring'
step 'monitoring'

volume = ec2.volumes.create(size: 1, availability_zone: 'nova')
volume.wait_for(DEADLINE, 0.2) { ready? }
ec2.attach_volume(server.id, volume.id, '/dev/vdc')
volume.wait_for(DEADLINE, 0.2) { state == 'in-use' }
check [volume.server_id, volume.device] == [server.id, '/dev/vdc'], volume
check server.reload.block_device_mapping.map { |device| device['volumeId'] } == [volume.id], server.block_device_mapping
refused('ApiError') { ec2.delete_volume(volume.id) }
ec2.detach_volume(volume.id)
volume.wait_for(DEADLINE, 0.2) { ready? }
step 'volumes'
snapshot = ec2.snapshots.create(volume_id: volume.id, description: 'of a test')
wait(snapshot.id, 'available') { ec2.snapshots.get(snapshot.id).state }
check ec2.snapshots.get(snapshot.id).description == 'of a test', snapshot
copy = ec2.volumes.create(size: 1, availability_zone: 'nova', snapshot_id: snapshot.id)
copy.wait_for(DEADLINE, 0.2) { ready? }
check copy.snapshot_id == snapshot.id, copy.snapshot_id
step 'snapshots'

check server.reload.tags == { 'story' => NAME }, server.tags
ec2.tags.create(key: 'more', value: 'words', resource_id: volume.id)
check ec2.volumes.get(volume.id).tags == { 'more' => 'words' }, volume.id
check ec2.servers.all('tag:story' => NAME).map(&:id) == [server.id], 'filter'
check ec2.tags.all('resource-id' => volume.id).map(&:value) == ['words'], 'tags'
ec2.delete_tags([volume.id], 'more' => 'words')
check ec2.volumes.get(volume.id).tags == {}, volume.id
step 'tags and filters'

root = [{ 'DeviceName' => '/dev/sda1', 'SnapshotId' => snapshot.id }]
registered = ec2.register_image("#{NAME}-of-snapshot", 'of a test', '/dev/sda1', root).body['imageId']
check ec2.images.get(registered).root_device_type == 'ebs', registered
ec2.deregister_image(registered)
step 'register image'
made = ec2.create_image(server.id, "#{NAME}-image", 'of a test').body['imageId']
wait(made, 'available') { ec2.images.get(made).state }
check !ec2.images.get(made).is_public, made
ec2.modify_image_attribute(made, 'Add.Group' => ['all'])
check ec2.images.get(made).is_public, made
ec2.modify_image_attribute(made, 'Remove.Group' => ['all'])
check !ec2.images.get(made).is_public, made
refused('ApiError') { ec2.modify_image_attribute(made, 'Add.UserId' => ['somebody']) }
ec2.deregister_image(made)
refused('ImageNotFound') { ec2.describe_images('ImageId' => [made]) }
step 'create image, launch permissions'

# A volume stays as long as it has a snapshot.
snapshot.destroy
wait(snapshot.id, false) { ec2.snapshots.all.map(&:id).include?(snapshot.id) }
[copy, volume].each do |one|
  one.destroy
  wait(one.id, false) { ec2.volumes.all.map(&:id).include?(one.id) }
end

address = ec2.addresses.create
ec2.associate_address(server.id, address.public_ip)
holder = -> { ec2.addresses.all.find { |one| one.public_ip == address.public_ip }&.server_id.to_s }
wait(address.public_ip, server.id) { holder.call }
check server.reload.public_ip_address == address.public_ip, server.public_ip_address
refused('ApiError') { ec2.release_address(address.public_ip) }
ec2.disassociate_address(address.public_ip)
wait(address.public_ip, '') { holder.call }
ec2.release_address(address.public_ip)
wait(address.public_ip, false) { ec2.addresses.all.map(&:public_ip).include?(address.public_ip) }
step 'addresses'

server.reboot
server.wait_for(DEADLINE, 0.2) { ready? }
step 'reboot'
# A reboot goes on for a moment, and an instance which reboots isn't stopped.
wait(server.id, 'stopping', 'stopped') do
  server.stop
  server.reload.state
end
server.wait_for(DEADLINE, 0.2) { state == 'stopped' }
ec2.modify_instance_attribute(server.id, 'InstanceType.Value' => 'm1.small')
check server.reload.flavor_id == 'm1.small', server.flavor_id
step 'modify instance attribute'
server.start
server.wait_for(DEADLINE, 0.2) { ready? }
step 'stop and start'

server.destroy
wait(server.id, false) { ec2.servers.all.map(&:id).include?(server.id) }
[GROUP, CALLERS].each { |name| ec2.delete_security_group(name) }
check ec2.security_groups.get(GROUP).nil?, GROUP
[KEY, IMPORTED].each { |name| ec2.key_pairs.get(name).destroy }
check ec2.key_pairs.get(KEY).nil?, KEY
step 'terminate'

refused('InstanceNotFound') { ec2.terminate_instances('i-00ffff00') }
refused('SignatureDoesNotMatch') { connect('wrong').describe_regions }
puts 'done'
