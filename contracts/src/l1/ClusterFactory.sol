// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {TransparentUpgradeableProxy} from
    "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol";
import {Create3} from "@openzeppelin/contracts/utils/Create3.sol";

import {CrossDomainMessenger} from "../universal/CrossDomainMessenger.sol";
import {ClusterRegistry} from "./ClusterRegistry.sol";
import {Inbox} from "./Inbox.sol";
import {L1CrossDomainMessenger} from "./L1CrossDomainMessenger.sol";
import {L1StandardBridge} from "./L1StandardBridge.sol";
import {SheafOutputOracle} from "./SheafOutputOracle.sol";
import {SheafPortal} from "./SheafPortal.sol";
import {SystemConfig} from "./SystemConfig.sol";

/// @title ClusterFactory
/// @notice Deploys all contracts of a cluster in one transaction: each is a proxy initialized in its own constructor, so
///         there is no moment at which someone else could initialize it, and no cluster is ever half there. Addresses
///         depend on the factory, the chain id and the kind of contract alone. Every proxy's admin is owned by the
///         network's timelock from the start; the proxies are transparent, so the authority to upgrade is no part of an
///         implementation and no implementation can lose it.
contract ClusterFactory {
    /// @dev Only accounts with the registry's deployer role may deploy clusters.
    error NotDeployer(address caller);
    /// @dev A proxy came out at another address than the others were told.
    error AddressMismatch(address expected, address actual);

    /// @notice The implementations that all clusters of this factory start with.
    struct Implementations {
        address portal;
        address outputOracle;
        address systemConfig;
        address inbox;
        address l1CrossDomainMessenger;
        address l1StandardBridge;
    }

    struct Parameters {
        uint64 chainId;
        string name;
        address guardian;
        address operator;
        address sequencer;
        address[] posters;
        uint64 gasLimit;
        uint32 basefeeScalar;
        uint32 blobbasefeeScalar;
        SheafOutputOracle.Parameters oracle;
    }

    string public constant version = "1.0.0";

    /// @notice The owner of all proxy admins, and of the contracts that have an owner.
    address public immutable timelock;
    ClusterRegistry public immutable registry;

    Implementations private _implementations;

    constructor(address timelock_, ClusterRegistry registry_, Implementations memory implementations_) {
        timelock = timelock_;
        registry = registry_;
        _implementations = implementations_;
    }

    function implementations() external view returns (Implementations memory) {
        return _implementations;
    }

    /// @notice Deploys, initializes and registers a cluster.
    function deployCluster(Parameters calldata p) external returns (ClusterRegistry.Cluster memory c) {
        if (!registry.hasRole(registry.DEPLOYER_ROLE(), msg.sender)) revert NotDeployer(msg.sender);
        c = addressesOf(p.chainId);
        c.name = p.name;
        c.deployBlock = uint64(block.number);
        // First, since it refuses a chain id that is taken; deploying over one would burn all gas before it fails.
        registry.register(c);

        Implementations memory impl = _implementations;
        _deploy(
            p.chainId,
            "systemConfig",
            c.systemConfig,
            impl.systemConfig,
            abi.encodeCall(
                SystemConfig.initialize,
                (
                    timelock,
                    SystemConfig.Addresses({
                        optimismPortal: c.portal,
                        l2OutputOracle: c.outputOracle,
                        inbox: c.inbox,
                        l1CrossDomainMessenger: c.l1CrossDomainMessenger,
                        l1StandardBridge: c.l1StandardBridge
                    }),
                    SystemConfig.Parameters({
                        l2ChainId: p.chainId,
                        gasLimit: p.gasLimit,
                        basefeeScalar: p.basefeeScalar,
                        blobbasefeeScalar: p.blobbasefeeScalar,
                        operator: p.operator,
                        sequencer: p.sequencer,
                        posters: p.posters
                    })
                )
            )
        );
        _deploy(
            p.chainId,
            "inbox",
            c.inbox,
            impl.inbox,
            abi.encodeCall(Inbox.initialize, (SystemConfig(c.systemConfig), p.posters))
        );
        _deploy(
            p.chainId,
            "outputOracle",
            c.outputOracle,
            impl.outputOracle,
            abi.encodeCall(SheafOutputOracle.initialize, (timelock, p.oracle))
        );
        _deploy(
            p.chainId,
            "portal",
            c.portal,
            impl.portal,
            abi.encodeCall(
                SheafPortal.initialize,
                (timelock, SheafOutputOracle(c.outputOracle), SystemConfig(c.systemConfig), p.guardian)
            )
        );
        _deploy(
            p.chainId,
            "l1CrossDomainMessenger",
            c.l1CrossDomainMessenger,
            impl.l1CrossDomainMessenger,
            abi.encodeCall(L1CrossDomainMessenger.initialize, (SheafPortal(payable(c.portal))))
        );
        _deploy(
            p.chainId,
            "l1StandardBridge",
            c.l1StandardBridge,
            impl.l1StandardBridge,
            abi.encodeCall(L1StandardBridge.initialize, (CrossDomainMessenger(c.l1CrossDomainMessenger)))
        );
    }

    /// @notice Where the contracts of a cluster are or will be. Name and block are left empty.
    function addressesOf(uint64 chainId) public view returns (ClusterRegistry.Cluster memory c) {
        c.chainId = chainId;
        c.portal = Create3.computeAddress(_salt(chainId, "portal"));
        c.inbox = Create3.computeAddress(_salt(chainId, "inbox"));
        c.outputOracle = Create3.computeAddress(_salt(chainId, "outputOracle"));
        c.systemConfig = Create3.computeAddress(_salt(chainId, "systemConfig"));
        c.l1CrossDomainMessenger = Create3.computeAddress(_salt(chainId, "l1CrossDomainMessenger"));
        c.l1StandardBridge = Create3.computeAddress(_salt(chainId, "l1StandardBridge"));
    }

    function _deploy(uint64 chainId, bytes32 kind, address expected, address implementation, bytes memory data)
        private
    {
        address proxy = Create3.deploy(
            0,
            _salt(chainId, kind),
            abi.encodePacked(
                type(TransparentUpgradeableProxy).creationCode, abi.encode(implementation, timelock, data)
            )
        );
        if (proxy != expected) revert AddressMismatch(expected, proxy);
    }

    function _salt(uint64 chainId, bytes32 kind) private pure returns (bytes32) {
        return keccak256(abi.encode(chainId, kind));
    }
}
