// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";

import {AddressAlias} from "../universal/AddressAlias.sol";
import {Constants} from "../universal/Constants.sol";
import {Hashing} from "../universal/Hashing.sol";
import {SafeCall} from "../universal/SafeCall.sol";
import {Types} from "../universal/Types.sol";
import {Inbox} from "./Inbox.sol";
import {ResourceMetering} from "./ResourceMetering.sol";
import {SheafOutputOracle} from "./SheafOutputOracle.sol";
import {SystemConfig} from "./SystemConfig.sol";

/// @title SheafPortal
/// @notice The one door between L1 and a cluster: deposits go in as events that derivation must include, withdrawals
///         come out once proven against an output root that stood the challenge period. Holds the cluster's ETH.
///         Invariant: the balance is at least what was deposited minus what withdrawals took out.
contract SheafPortal is OwnableUpgradeable, ResourceMetering, ReentrancyGuardTransient {
    /// @dev Deposits that create a contract have no target.
    error BadTarget(address target);
    /// @dev The gas limit does not even pay for the calldata.
    error SmallGasLimit(uint64 given, uint64 minimum);
    /// @dev Deposit data is limited so that it fits into blocks and gossip everywhere.
    error LargeCalldata(uint256 given, uint256 maximum);
    /// @dev Withdrawals are paused until the given time.
    error CallPaused(uint64 until);
    /// @dev Withdrawals are not paused.
    error NotPaused();
    /// @dev Only the guardian may pause and unpause.
    error NotGuardian(address caller);
    /// @dev An address that must be set is zero.
    error ZeroAddress();
    /// @dev The preimage does not hash to the output root.
    error InvalidOutputRootProof(bytes32 expected, bytes32 actual);
    /// @dev The withdrawal is not in the storage of the message passer.
    error InvalidWithdrawalProof(bytes32 withdrawalHash);
    /// @dev The withdrawal is proven against an output that still stands.
    error AlreadyProven(bytes32 withdrawalHash);
    /// @dev The withdrawal must be proven first.
    error Unproven(bytes32 withdrawalHash);
    /// @dev The challenge period of the proof or of the output is not over.
    error NotYetFinalizable(uint256 finalizableAt);
    /// @dev The output it was proven against was deleted or replaced; prove again.
    error OutputChanged(bytes32 proven, bytes32 current);
    /// @dev The withdrawal was finalized before.
    error AlreadyFinalized(bytes32 withdrawalHash);
    /// @dev The escrow holds less than the withdrawal takes; it can be finalized once it holds enough.
    error InsufficientEscrow(uint256 held, uint256 needed);
    /// @dev Derivation starts with the block after the genesis and would never see this deposit.
    error GenesisMissing();
    /// @dev Raised for a gas estimate only: with this much gas the target would fail.
    error GasEstimation();

    /// @notice A withdrawal that was proven.
    /// @custom:field outputRoot    Root it was proven against.
    /// @custom:field timestamp     When it was proven, in seconds.
    /// @custom:field l2OutputIndex Index of that root in the oracle.
    struct ProvenWithdrawal {
        bytes32 outputRoot;
        uint128 timestamp;
        uint128 l2OutputIndex;
    }

    /// @notice Portals before version 3 work with an output oracle; tools read that from here.
    string public constant version = "2.8.0";
    /// @notice Version of the encoding in {TransactionDeposited}.
    uint256 public constant DEPOSIT_VERSION = 0;
    /// @notice Longest data of a deposit, in bytes.
    uint256 public constant MAX_DEPOSIT_DATA = 120_000;
    /// @notice A pause ends by itself after this, so that a lost guardian key cannot lock funds.
    uint64 public constant PAUSE_SECONDS = 14 days;
    /// @dev L2 gas of a deposit made by simply sending ETH.
    uint64 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;

    /// @notice Withdrawals proven, by hash.
    mapping(bytes32 withdrawalHash => ProvenWithdrawal) public provenWithdrawals;
    /// @notice Withdrawals executed, by hash, whether or not their target succeeded.
    mapping(bytes32 withdrawalHash => bool) public finalizedWithdrawals;
    /// @notice The oracle whose outputs withdrawals are proven against.
    SheafOutputOracle public l2Oracle;
    /// @notice The cluster's parameters and addresses.
    SystemConfig public systemConfig;
    /// @notice May pause withdrawals.
    address public guardian;
    /// @notice Withdrawals are paused until this time, in seconds.
    uint64 public pausedUntil;
    /// @dev Deposits are open: the genesis is in an earlier block. Never closed again.
    bool private _isOpen;

    /// @dev L2 sender of the withdrawal being executed; zero outside.
    address private transient _l2Sender;

    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);
    event WithdrawalProven(bytes32 indexed withdrawalHash, address indexed from, address indexed to);
    event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);
    event Paused(address account);
    event Unpaused(address account);
    event GuardianSet(address indexed guardian);

    modifier whenNotPaused() {
        if (paused()) revert CallPaused(pausedUntil);
        _;
    }

    modifier onlyGuardian() {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        _;
    }

    constructor() {
        _disableInitializers();
    }

    /// @notice Deposits the ETH to the sender's own address on the cluster.
    receive() external payable {
        depositTransaction(msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, false, "");
    }

    function initialize(address owner_, SheafOutputOracle l2Oracle_, SystemConfig systemConfig_, address guardian_)
        external
        initializer
    {
        if (address(l2Oracle_) == address(0) || address(systemConfig_) == address(0)) revert ZeroAddress();
        __Ownable_init(owner_);
        _initResourceMetering();
        l2Oracle = l2Oracle_;
        systemConfig = systemConfig_;
        _setGuardian(guardian_);
    }

    /// @notice Adds ETH to the escrow without a deposit.
    function donateETH() external payable {}

    /// @notice Stops proving and finalizing withdrawals, for {PAUSE_SECONDS} or until unpaused. Deposits go on: they
    ///         are how users act when a sequencer does not.
    function pause() external onlyGuardian whenNotPaused {
        pausedUntil = uint64(block.timestamp) + PAUSE_SECONDS;
        emit Paused(msg.sender);
    }

    function unpause() external onlyGuardian {
        if (!paused()) revert NotPaused();
        pausedUntil = 0;
        emit Unpaused(msg.sender);
    }

    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    /// @notice Proves that a withdrawal was recorded on the cluster as of an output root. Starts its waiting time.
    /// @param withdrawal      The withdrawal as emitted on the cluster.
    /// @param l2OutputIndex   Index of the output in the oracle.
    /// @param outputRootProof Preimage of the output root.
    /// @param withdrawalProof Trie nodes from the message passer's storage root to the withdrawal's slot.
    function proveWithdrawalTransaction(
        Types.WithdrawalTransaction memory withdrawal,
        uint256 l2OutputIndex,
        Types.OutputRootProof calldata outputRootProof,
        bytes[] calldata withdrawalProof
    ) external whenNotPaused nonReentrant {
        if (withdrawal.target == address(this)) revert BadTarget(withdrawal.target);
        bytes32 outputRoot = l2Oracle.getL2Output(l2OutputIndex).outputRoot;
        bytes32 actual = Hashing.hashOutputRoot(outputRootProof);
        if (outputRoot != actual) revert InvalidOutputRootProof(outputRoot, actual);

        bytes32 withdrawalHash = Hashing.hashWithdrawal(withdrawal);
        ProvenWithdrawal storage earlier = provenWithdrawals[withdrawalHash];
        // Proving again would restart the waiting time, so it takes a reason: the output is no longer there.
        if (earlier.timestamp != 0 && _currentOutput(earlier.l2OutputIndex).outputRoot == earlier.outputRoot) {
            revert AlreadyProven(withdrawalHash);
        }

        // `sentMessages` is slot 0 of the message passer, and the keys of the trie are hashed.
        bytes32 slot = keccak256(abi.encode(withdrawalHash, uint256(0)));
        if (
            !TrieProof.verify(
                hex"01",
                outputRootProof.messagePasserStorageRoot,
                abi.encodePacked(keccak256(abi.encode(slot))),
                withdrawalProof
            )
        ) revert InvalidWithdrawalProof(withdrawalHash);

        provenWithdrawals[withdrawalHash] = ProvenWithdrawal({
            outputRoot: outputRoot,
            timestamp: uint128(block.timestamp),
            l2OutputIndex: uint128(l2OutputIndex)
        });
        emit WithdrawalProven(withdrawalHash, withdrawal.sender, withdrawal.target);
    }

    /// @notice Executes a proven withdrawal after the challenge period. It counts as finalized even if its target
    ///         fails, and its ETH then stays here: contracts that want to retry go through the messenger.
    function finalizeWithdrawalTransaction(Types.WithdrawalTransaction memory withdrawal)
        external
        whenNotPaused
        nonReentrant
    {
        bytes32 withdrawalHash = Hashing.hashWithdrawal(withdrawal);
        ProvenWithdrawal memory proven = provenWithdrawals[withdrawalHash];
        if (proven.timestamp == 0) revert Unproven(withdrawalHash);
        if (finalizedWithdrawals[withdrawalHash]) revert AlreadyFinalized(withdrawalHash);

        // A proof that is old enough on an output that is too young cannot happen while the oracle is honest about
        // time; both are checked so that neither has to trust the other.
        Types.OutputProposal memory output = _currentOutput(proven.l2OutputIndex);
        if (output.outputRoot != proven.outputRoot) revert OutputChanged(proven.outputRoot, output.outputRoot);
        uint256 period = l2Oracle.finalizationPeriodSeconds();
        uint256 latest = proven.timestamp > output.timestamp ? proven.timestamp : output.timestamp;
        if (block.timestamp <= latest + period) revert NotYetFinalizable(latest + period + 1);
        // Else the call would fail for want of ETH and yet count as finalized.
        if (address(this).balance < withdrawal.value) {
            revert InsufficientEscrow(address(this).balance, withdrawal.value);
        }

        finalizedWithdrawals[withdrawalHash] = true;

        _l2Sender = withdrawal.sender;
        bool success =
            SafeCall.callWithMinGas(withdrawal.target, withdrawal.gasLimit, withdrawal.value, withdrawal.data);
        _l2Sender = address(0);

        emit WithdrawalFinalized(withdrawalHash, success);
        if (!success && tx.origin == Constants.ESTIMATION_ADDRESS) revert GasEstimation();
    }

    /// @notice True when withdrawals proven against an output may be as far as the output's age goes.
    function isOutputFinalized(uint256 l2OutputIndex) external view returns (bool) {
        return
            block.timestamp > l2Oracle.getL2Output(l2OutputIndex).timestamp + l2Oracle.finalizationPeriodSeconds();
    }

    /// @notice Who sent, on L2, the withdrawal being executed; a fixed address without a key outside of one.
    function l2Sender() external view returns (address) {
        return _l2Sender == address(0) ? Constants.DEFAULT_L2_SENDER : _l2Sender;
    }

    function L2_ORACLE() external view returns (SheafOutputOracle) {
        return l2Oracle;
    }

    function SYSTEM_CONFIG() external view returns (SystemConfig) {
        return systemConfig;
    }

    function GUARDIAN() external view returns (address) {
        return guardian;
    }

    /// @notice Deposits ETH and a transaction, which the cluster must execute within the sequencing window.
    /// @param to         Target on the cluster; zero for a creation.
    /// @param value      ETH the transaction carries on L2, out of the sender's balance there, to which the ETH of this
    ///                   call is added first.
    /// @param gasLimit   L2 gas, bought here.
    /// @param isCreation True to create a contract with `data` as its init code.
    function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes memory data)
        public
        payable
        metered(gasLimit)
    {
        if (!_isOpen) _open();
        if (isCreation && to != address(0)) revert BadTarget(to);
        if (data.length > MAX_DEPOSIT_DATA) revert LargeCalldata(data.length, MAX_DEPOSIT_DATA);
        uint64 least = minimumGasLimit(uint64(data.length));
        if (gasLimit < least) revert SmallGasLimit(gasLimit, least);

        address from = AddressAlias.callerHasKey() ? msg.sender : AddressAlias.toL2(msg.sender);
        emit TransactionDeposited(
            from, to, DEPOSIT_VERSION, abi.encodePacked(msg.value, value, gasLimit, isCreation, data)
        );
    }

    /// @notice True while withdrawals are paused.
    function paused() public view returns (bool) {
        return block.timestamp < pausedUntil;
    }

    /// @notice Least L2 gas of a deposit with `byteCount` bytes of data: the floor price of EIP-7623.
    function minimumGasLimit(uint64 byteCount) public pure returns (uint64) {
        return byteCount * 40 + 21_000;
    }

    /// @dev The inbox is asked until the genesis is there, then never again.
    function _open() private {
        uint64 genesisBlock = Inbox(systemConfig.inbox()).genesisBlock();
        if (genesisBlock == 0 || block.number <= genesisBlock) revert GenesisMissing();
        _isOpen = true;
    }

    /// @dev The output at an index, or an empty one if it was deleted.
    function _currentOutput(uint256 index) private view returns (Types.OutputProposal memory output) {
        if (index < l2Oracle.nextOutputIndex()) output = l2Oracle.getL2Output(index);
    }

    function _setGuardian(address guardian_) private {
        if (guardian_ == address(0)) revert ZeroAddress();
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }
}
