#!/bin/bash
# Two devices, each in a network namespace of its own, joined by a bridge. To be run as process 1 of new user,
# network and process namespaces, so that everything ends with it:
#   unshare -rnp --fork --kill-child two_networks.sh NODE DIRECTORY
# Writes what the devices write, "1: ..." and "2: ...". Reads "pull 2" and "plug 2" (the cable of device 2); ends
# with its standard input.
set -e
node=$1
directory=$2
ip link add bridge0 type bridge
ip link set bridge0 up
for i in 1 2; do
  mkdir -p "$directory/$i"
  unshare -n bash -c "
    touch $directory/$i/ready
    until ip link show eth0 > /dev/null 2>&1; do sleep 0.05; done
    ip link set lo up
    ip address add 10.77.0.$i/24 dev eth0
    ip link set eth0 up
    exec $node $directory/$i device$i 0.0.0.0 < <(sleep infinity)" 2>&1 | sed -u "s/^/$i: /" &
  until [ -e "$directory/$i/ready" ]; do sleep 0.05; done
  # The first process of the pipe just started, which is the one with the namespace.
  ip link add "cable$i" type veth peer name eth0 netns "$(jobs -p %%)"
  ip link set "cable$i" master bridge0 up
done
while read -r what i; do
  case $what in
    pull) ip link set "cable$i" down ;;
    plug) ip link set "cable$i" up ;;
  esac
done
