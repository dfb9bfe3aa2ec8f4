// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {AccessControlUpgradeable} from "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";

/// @title ClusterRegistry
/// @notice The clusters of a network and their contracts. An entry is written once and never changed: the contracts are
///         proxies, so their addresses outlive upgrades.
contract ClusterRegistry is AccessControlUpgradeable {
    /// @dev A cluster with this chain id is registered.
    error ClusterExists(uint64 chainId);
    /// @dev No cluster has this chain id.
    error UnknownCluster(uint64 chainId);
    /// @dev A chain id must not be zero nor that of L1.
    error BadChainId(uint64 chainId);
    /// @dev An address that must be set is zero.
    error ZeroAddress();

    /// @notice May register clusters: the factory.
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");
    /// @notice May have the factory deploy clusters: the network's operators.
    bytes32 public constant DEPLOYER_ROLE = keccak256("DEPLOYER_ROLE");

    string public constant version = "1.0.0";

    struct Cluster {
        uint64 chainId;
        uint64 deployBlock;
        string name;
        address portal;
        address inbox;
        address outputOracle;
        address systemConfig;
        address l1CrossDomainMessenger;
        address l1StandardBridge;
    }

    uint64[] private _chainIds;
    mapping(uint64 chainId => Cluster) private _clusters;

    event ClusterRegistered(uint64 indexed chainId, string name, address inbox);

    constructor() {
        _disableInitializers();
    }

    function initialize(address admin, address registrar, address deployer) external initializer {
        if (admin == address(0) || registrar == address(0) || deployer == address(0)) revert ZeroAddress();
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(REGISTRAR_ROLE, registrar);
        _grantRole(DEPLOYER_ROLE, deployer);
    }

    function register(Cluster calldata c) external onlyRole(REGISTRAR_ROLE) {
        if (c.chainId == 0 || c.chainId == block.chainid) revert BadChainId(c.chainId);
        if (_clusters[c.chainId].chainId != 0) revert ClusterExists(c.chainId);
        if (
            c.portal == address(0) || c.inbox == address(0) || c.outputOracle == address(0)
                || c.systemConfig == address(0) || c.l1CrossDomainMessenger == address(0)
                || c.l1StandardBridge == address(0)
        ) revert ZeroAddress();
        _chainIds.push(c.chainId);
        _clusters[c.chainId] = c;
        emit ClusterRegistered(c.chainId, c.name, c.inbox);
    }

    function cluster(uint64 chainId) external view returns (Cluster memory) {
        if (_clusters[chainId].chainId == 0) revert UnknownCluster(chainId);
        return _clusters[chainId];
    }

    function clusterCount() external view returns (uint256) {
        return _chainIds.length;
    }

    /// @notice Up to `count` clusters from `first` on, in the order of registration.
    function clusters(uint256 first, uint256 count) external view returns (Cluster[] memory page) {
        uint256 length = _chainIds.length;
        if (first > length) first = length;
        if (count > length - first) count = length - first;
        page = new Cluster[](count);
        for (uint256 i = 0; i < count; ++i) {
            page[i] = _clusters[_chainIds[first + i]];
        }
    }
}
