// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {ProxyAdmin} from "@openzeppelin/contracts/proxy/transparent/ProxyAdmin.sol";
import {TransparentUpgradeableProxy} from
    "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";

import {ClusterFactory} from "../src/l1/ClusterFactory.sol";
import {ClusterRegistry} from "../src/l1/ClusterRegistry.sol";
import {Inbox} from "../src/l1/Inbox.sol";
import {L1CrossDomainMessenger} from "../src/l1/L1CrossDomainMessenger.sol";
import {L1StandardBridge} from "../src/l1/L1StandardBridge.sol";
import {SheafOutputOracle} from "../src/l1/SheafOutputOracle.sol";
import {SheafPortal} from "../src/l1/SheafPortal.sol";
import {SystemConfig} from "../src/l1/SystemConfig.sol";
import {Hashing} from "../src/universal/Hashing.sol";
import {Types} from "../src/universal/Types.sol";
import {Vm} from "./Vm.sol";

/// @notice Ground of all tests: the cheat codes and the accounts.
abstract contract SheafTest {
    bool public constant IS_TEST = true;
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice Brings a fuzzed number into a range, ends included.
    function bound(uint256 x, uint256 least, uint256 most) internal pure returns (uint256) {
        if (x >= least && x <= most) return x;
        uint256 size = most - least + 1;
        return size == 0 ? x : least + x % size;
    }

    /// @notice An account by name: no code, no key, no precompile.
    function named(string memory name) internal pure returns (address) {
        return address(uint160(uint256(keccak256(bytes(name)))));
    }
}

/// @notice A withdrawal that is alone in the message passer, with its proof: a trie of one leaf.
library OneLeafTrie {
    /// @notice Storage root of the message passer, and the proof of `withdrawalHash` against it.
    function prove(bytes32 withdrawalHash) internal pure returns (bytes32 root, bytes[] memory proof) {
        bytes32 key = keccak256(abi.encode(keccak256(abi.encode(withdrawalHash, uint256(0)))));
        // A list of 35 bytes: the path as a string of 33 (even leaf, all 64 nibbles), then the value 0x01.
        bytes memory leaf = abi.encodePacked(hex"e3a120", key, hex"01");
        proof = new bytes[](1);
        proof[0] = leaf;
        root = keccak256(leaf);
    }
}

/// @notice A network with one cluster, deployed the way the deployment does it.
abstract contract DeployedCluster is SheafTest {
    uint64 internal constant L2_CHAIN_ID = 901;
    uint256 internal constant PERIOD = 100;
    uint256 internal constant TIMELOCK_DELAY = 2 days;

    address internal guardian = named("guardian");
    address internal operator = named("operator");
    address internal sequencer = named("sequencer");
    address internal poster = named("poster");
    address internal proposer = named("proposer");
    address internal challenger = named("challenger");
    address internal council = named("council");
    address internal deployer = named("deployer");

    TimelockController internal timelock;
    ClusterRegistry internal registry;
    ClusterFactory internal factory;
    SheafPortal internal portal;
    SheafOutputOracle internal oracle;
    SystemConfig internal systemConfig;
    Inbox internal inbox;
    L1CrossDomainMessenger internal messenger;
    L1StandardBridge internal bridge;

    function deployNetwork() internal {
        vm.warp(1_800_000_000);
        vm.roll(20_000_000);
        vm.fee(10 gwei);
        address[] memory one = new address[](1);
        one[0] = council;
        timelock = new TimelockController(TIMELOCK_DELAY, one, one, address(0));
        ClusterFactory.Implementations memory implementations = ClusterFactory.Implementations({
            portal: address(new SheafPortal()),
            outputOracle: address(new SheafOutputOracle()),
            systemConfig: address(new SystemConfig()),
            inbox: address(new Inbox()),
            l1CrossDomainMessenger: address(new L1CrossDomainMessenger()),
            l1StandardBridge: address(new L1StandardBridge())
        });
        // The factory takes its registrar role on trust here; the deployment computes its address ahead.
        registry = ClusterRegistry(
            address(
                new TransparentUpgradeableProxy(
                    address(new ClusterRegistry()),
                    address(timelock),
                    abi.encodeCall(ClusterRegistry.initialize, (address(timelock), address(this), deployer))
                )
            )
        );
        factory = new ClusterFactory(address(timelock), registry, implementations);
        bytes32 role = registry.REGISTRAR_ROLE();
        vm.prank(address(timelock));
        registry.grantRole(role, address(factory));
    }

    function clusterParameters(uint64 chainId) internal view returns (ClusterFactory.Parameters memory p) {
        address[] memory posters = new address[](1);
        posters[0] = poster;
        p = ClusterFactory.Parameters({
            chainId: chainId,
            name: "alpha",
            guardian: guardian,
            operator: operator,
            sequencer: sequencer,
            posters: posters,
            gasLimit: 60_000_000,
            basefeeScalar: 5_000,
            blobbasefeeScalar: 1_000_000,
            oracle: SheafOutputOracle.Parameters({
                submissionInterval: 10,
                l2BlockTime: 1,
                startingBlockNumber: 0,
                startingTimestamp: 0,
                finalizationPeriodSeconds: PERIOD,
                proposer: proposer,
                challenger: challenger
            })
        });
    }

    function deployCluster() internal {
        deployNetwork();
        vm.prank(deployer);
        ClusterRegistry.Cluster memory c = factory.deployCluster(clusterParameters(L2_CHAIN_ID));
        portal = SheafPortal(payable(c.portal));
        oracle = SheafOutputOracle(c.outputOracle);
        systemConfig = SystemConfig(c.systemConfig);
        inbox = Inbox(c.inbox);
        messenger = L1CrossDomainMessenger(c.l1CrossDomainMessenger);
        bridge = L1StandardBridge(payable(c.l1StandardBridge));
    }

    /// @notice A deployed cluster whose genesis is published: it takes deposits and segments.
    function startCluster() internal {
        deployCluster();
        vm.prank(operator);
        inbox.publishGenesis("genesis");
        vm.roll(block.number + 1);
    }

    /// @notice Proposes an output in which `w` alone was recorded; returns what a proof of it needs.
    function proposeWith(Types.WithdrawalTransaction memory w)
        internal
        returns (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof)
    {
        (rootProof.messagePasserStorageRoot, proof) = OneLeafTrie.prove(Hashing.hashWithdrawal(w));
        rootProof.stateRoot = keccak256("state");
        rootProof.latestBlockhash = keccak256("block");
        index = oracle.nextOutputIndex();
        uint256 next = oracle.nextBlockNumber();
        vm.prank(proposer);
        oracle.proposeL2Output(Hashing.hashOutputRoot(rootProof), next, bytes32(0), 0);
    }

    /// @notice Proposes and proves `w`.
    function prove(Types.WithdrawalTransaction memory w) internal {
        (uint256 index, Types.OutputRootProof memory rootProof, bytes[] memory proof) = proposeWith(w);
        portal.proveWithdrawalTransaction(w, index, rootProof, proof);
    }

    /// @notice Proposes, proves and lets the challenge period pass.
    function mature(Types.WithdrawalTransaction memory w) internal {
        prove(w);
        vm.warp(block.timestamp + PERIOD + 1);
    }

    function adminOf(address proxy) internal view returns (ProxyAdmin) {
        bytes32 slot = bytes32(uint256(keccak256("eip1967.proxy.admin")) - 1);
        return ProxyAdmin(address(uint160(uint256(vm.load(proxy, slot)))));
    }

    function implementationOf(address proxy) internal view returns (address) {
        bytes32 slot = bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);
        return address(uint160(uint256(vm.load(proxy, slot))));
    }
}
